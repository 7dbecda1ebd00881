using System.Runtime.InteropServices;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Gguf;

/// <summary>Sizes and encodings of <see cref="GgufType"/>.</summary>
public static class GgufTypes
{
    /// <summary>Elements of a block of <see cref="GgufType.Q8Zero"/>.</summary>
    public const int BlockElements = 32;

    /// <summary>Bytes of such a block: its scale, then its elements.</summary>
    public const int BlockBytes = 2 + BlockElements;

    /// <summary>Reads a name: f32, f16, bf16 or q8_0.</summary>
    /// <exception cref="UserErrorException">It is none of them.</exception>
    public static GgufType Parse(string name) => name switch
    {
        "f32" => GgufType.F32,
        "f16" => GgufType.F16,
        "bf16" => GgufType.BF16,
        "q8_0" => GgufType.Q8Zero,
        _ => throw new UserErrorException($"--dtype {name} is not known: use f32, f16, bf16 or q8_0"),
    };

    /// <summary>The name that <see cref="Parse"/> reads.</summary>
    public static string NameOf(GgufType type) => type == GgufType.Q8Zero ? "q8_0" : type.ToString().ToLowerInvariant();

    /// <summary>Bytes that a row takes.</summary>
    /// <param name="type">Its encoding.</param>
    /// <param name="columns">Its elements; of Q8_0 a multiple of <see cref="BlockElements"/>.</param>
    public static long RowBytes(GgufType type, long columns) => type switch
    {
        GgufType.F32 => 4 * columns,
        GgufType.F16 or GgufType.BF16 => 2 * columns,
        _ when columns % BlockElements == 0 => columns / BlockElements * BlockBytes,
        _ => throw new ArgumentException($"a row of {columns} is not whole blocks of {BlockElements}", nameof(columns)),
    };

    /// <summary>Refuses a row with a value that its encoding would turn into an infinity.</summary>
    /// <param name="values">The row, finite.</param>
    /// <param name="type">The encoding.</param>
    /// <param name="first">Index of its first value in the parameter.</param>
    /// <param name="shape">The parameter's axes.</param>
    /// <param name="name">What the parameter is called, for the message.</param>
    /// <exception cref="UserErrorException">A value is too large.</exception>
    internal static void RequireFit(ReadOnlySpan<float> values, GgufType type, long first, ReadOnlySpan<long> shape, string name)
    {
        if (type == GgufType.Q8Zero)
        {
            // A block's scale, its largest magnitude over 127, is a half.
            FiniteValues.RequireBelow(
                values, 127 * FiniteValues.Float16End, first, shape, "q8_0, whose blocks end at 8.3e6", "--dtype bf16", name);
            return;
        }

        FiniteValues.RequireFit(values, first, shape, Stored(type), name);
    }

    /// <summary>Encodes a row.</summary>
    /// <param name="values">Its elements.</param>
    /// <param name="type">The encoding.</param>
    /// <param name="bytes">Receives <see cref="RowBytes"/> bytes.</param>
    public static void Encode(ReadOnlySpan<float> values, GgufType type, Span<byte> bytes)
    {
        if (type == GgufType.Q8Zero)
        {
            for (int block = 0; block < values.Length / BlockElements; block++)
            {
                EncodeBlock(values.Slice(block * BlockElements, BlockElements), bytes.Slice(block * BlockBytes, BlockBytes));
            }

            return;
        }

        TensorConvert.FromFloats(values, Stored(type), bytes);
    }

    private static TensorType Stored(GgufType type) => type switch
    {
        GgufType.F16 => TensorType.F16,
        GgufType.BF16 => TensorType.BF16,
        _ => TensorType.F32,
    };

    // The largest magnitude becomes 127; a half rounds away from zero, by the scale before it is rounded itself.
    private static void EncodeBlock(ReadOnlySpan<float> values, Span<byte> bytes)
    {
        float most = 0;
        foreach (float value in values)
        {
            most = Math.Max(most, Math.Abs(value));
        }

        float scale = most / 127, inverse = scale == 0 ? 0 : 1 / scale;
        Half stored = (Half)scale;
        MemoryMarshal.Write(bytes, in stored);
        for (int i = 0; i < values.Length; i++)
        {
            bytes[2 + i] = unchecked((byte)(sbyte)MathF.Round(values[i] * inverse, MidpointRounding.AwayFromZero));
        }
    }
}
