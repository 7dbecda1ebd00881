namespace LlavaSharp.Checkpoints;

/// <summary>NF4: sixteen levels at quantiles of a normal distribution, and for each block of 64 elements its largest magnitude. Two
/// elements a byte, the first in the upper half; an element is its level times its block's scale, in float32.</summary>
/// <remarks>Format: Dettmers et al. 2023, QLoRA, appendix E, as bitsandbytes stores it. An element goes to the nearest level; one
/// exactly between two goes to the lower.</remarks>
public static class NormalFloat4
{
    /// <summary>Elements that share a scale.</summary>
    public const int BlockElements = 64;

    private const int Zero = 7;

    private static readonly float[] LevelTable =
    [
        -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
        -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
        0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f,
    ];

    private static readonly float[] Middles = [.. LevelTable.Zip(LevelTable.Skip(1), (a, b) => (float)(((double)a + b) / 2))];

    /// <summary>The sixteen levels, ascending.</summary>
    public static ReadOnlySpan<float> Levels => LevelTable;

    /// <summary>Bytes of so many elements.</summary>
    public static int ByteCount(int count) => (count + 1) / 2;

    /// <summary>Blocks of so many elements; the last may be shorter.</summary>
    public static int BlockCount(int count) => (count + BlockElements - 1) / BlockElements;

    /// <summary>Encodes values, row after row as one run.</summary>
    /// <param name="values">The values, finite.</param>
    /// <param name="packed">Receives <see cref="ByteCount"/> bytes.</param>
    /// <param name="scales">Receives <see cref="BlockCount"/> scales.</param>
    /// <exception cref="ArgumentException">A length does not fit.</exception>
    public static void Encode(ReadOnlySpan<float> values, Span<byte> packed, Span<float> scales)
    {
        Check(values.Length, packed.Length, scales.Length);
        packed.Fill(Zero);
        for (int block = 0; block < scales.Length; block++)
        {
            int begin = block * BlockElements;
            ReadOnlySpan<float> part = values[begin..Math.Min(values.Length, begin + BlockElements)];
            float most = 0;
            foreach (float value in part)
            {
                most = Math.Max(most, Math.Abs(value));
            }

            scales[block] = most;
            float inverse = most == 0 ? 0 : 1 / most;
            for (int i = 0; i < part.Length; i++)
            {
                int at = begin + i, code = Nearest(part[i] * inverse);
                packed[at / 2] = (byte)(at % 2 == 0 ? (packed[at / 2] & 0x0f) | (code << 4) : (packed[at / 2] & 0xf0) | code);
            }
        }
    }

    /// <summary>Decodes values: exactly what computing with them means.</summary>
    /// <param name="packed">As <see cref="Encode"/> made them.</param>
    /// <param name="scales">The blocks' scales.</param>
    /// <param name="values">Receives the values.</param>
    /// <exception cref="ArgumentException">A length does not fit.</exception>
    public static void Decode(ReadOnlySpan<byte> packed, ReadOnlySpan<float> scales, Span<float> values)
    {
        Check(values.Length, packed.Length, scales.Length);
        for (int i = 0; i < values.Length; i++)
        {
            int code = i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 0x0f;
            values[i] = LevelTable[code] * scales[i / BlockElements];
        }
    }

    private static int Nearest(float value)
    {
        int code = 0;
        while (code < Middles.Length && value > Middles[code])
        {
            code++;
        }

        return code;
    }

    private static void Check(int count, int bytes, int blocks)
    {
        if (bytes != ByteCount(count) || blocks != BlockCount(count))
        {
            throw new ArgumentException($"{count} elements take {ByteCount(count)} bytes and {BlockCount(count)} scales, not {bytes} "
                + $"and {blocks}", nameof(count));
        }
    }
}
