using System.Numerics.Tensors;

namespace LlavaSharp.Checkpoints;

/// <summary>The scales of NF4 blocks, quantised themselves ("double quantisation"): their mean is taken off, and what is left is a byte
/// each into a table of 256 levels, times the largest magnitude of its block of 256.</summary>
/// <param name="Codes">[n] places in <see cref="Levels"/>.</param>
/// <param name="Scales">[⌈n / 256⌉] largest magnitudes.</param>
/// <param name="Offset">The mean of the scales.</param>
/// <remarks>Format: Dettmers et al. 2022, "8-bit optimizers", section 2.2 (the dynamic map, seven exponents, signed), as bitsandbytes
/// stores it.</remarks>
public sealed record QuantizedScales(byte[] Codes, float[] Scales, float Offset)
{
    /// <summary>Scales that share a magnitude.</summary>
    public const int BlockElements = 256;

    private const int Exponents = 7;

    private static readonly float[] LevelTable = MakeLevels();

    /// <summary>The 256 levels, ascending, from about -0.99 to 1.</summary>
    public static ReadOnlySpan<float> Levels => LevelTable;

    /// <summary>Quantises scales.</summary>
    public static QuantizedScales From(ReadOnlySpan<float> scales)
    {
        double sum = 0;
        foreach (float scale in scales)
        {
            sum += scale;
        }

        float offset = scales.IsEmpty ? 0 : (float)(sum / scales.Length);
        byte[] codes = new byte[scales.Length];
        float[] most = new float[(scales.Length + BlockElements - 1) / BlockElements];
        float[] centred = new float[scales.Length];
        TensorPrimitives.Subtract(scales, offset, centred);
        for (int block = 0; block < most.Length; block++)
        {
            Span<float> part = centred.AsSpan()[(block * BlockElements)..Math.Min(centred.Length, (block + 1) * BlockElements)];
            most[block] = Math.Abs(TensorPrimitives.MaxMagnitude<float>(part));
            float inverse = most[block] == 0 ? 0 : 1 / most[block];
            for (int i = 0; i < part.Length; i++)
            {
                codes[(block * BlockElements) + i] = Nearest(part[i] * inverse);
            }
        }

        return new(codes, most, offset);
    }

    /// <summary>The scales that the codes mean.</summary>
    public float[] ToFloats() =>
        [.. Codes.Select((code, i) => (LevelTable[code] * Scales[i / BlockElements]) + Offset)];

    private static byte Nearest(float value)
    {
        int at = Array.BinarySearch(LevelTable, value);
        if (at >= 0)
        {
            return (byte)at;
        }

        int above = Math.Min(~at, LevelTable.Length - 1), below = Math.Max(~at - 1, 0);
        return (byte)(value > (LevelTable[below] + LevelTable[above]) * 0.5f ? above : below);
    }

    /// <summary>For each exponent i of seven, 2^i means of neighbours among 2^i + 1 even steps from 0.1 to 1, times 10^(i - 6), with
    /// both signs; and 0 and 1.</summary>
    private static float[] MakeLevels()
    {
        List<float> levels = [0, 1];
        for (int exponent = 0; exponent < Exponents; exponent++)
        {
            int steps = 1 << exponent;
            float power = (float)Math.Pow(10, exponent - (Exponents - 1));
            for (int i = 0; i < steps; i++)
            {
                float mean = (Boundary(i, steps) + Boundary(i + 1, steps)) / 2;
                levels.Add(power * mean);
                levels.Add(-power * mean);
            }
        }

        levels.Sort();
        return [.. levels];
    }

    private static float Boundary(int step, int steps) => (float)(0.1 + (0.9 * step / steps));
}
