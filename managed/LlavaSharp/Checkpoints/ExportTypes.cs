using System.Globalization;

namespace LlavaSharp.Checkpoints;

/// <summary>What a user says about a folder to be written: precision and size of shards.</summary>
public static class ExportTypes
{
    private static readonly (string Unit, long Bytes)[] Units =
    [
        ("KIB", 1L << 10), ("MIB", 1L << 20), ("GIB", 1L << 30), ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("B", 1), ("", 1),
    ];

    /// <summary>Reads a precision: f32, f16, bf16, or their long names.</summary>
    /// <exception cref="UserErrorException">It is none of them.</exception>
    public static TensorType ParseType(string name) => name switch
    {
        "f32" or "float32" => TensorType.F32,
        "f16" or "float16" => TensorType.F16,
        "bf16" or "bfloat16" => TensorType.BF16,
        _ => throw new UserErrorException($"--dtype {name} is not known: use f32, f16 or bf16"),
    };

    /// <summary>Reads a size: bytes, or a number with KB, MB, GB (powers of 1000) or KiB, MiB, GiB (powers of 1024).</summary>
    /// <exception cref="UserErrorException">It is no such size, or less than a byte.</exception>
    public static long ParseSize(string text)
    {
        string upper = text.Trim().ToUpperInvariant();
        (string unit, long bytes) = Units.First(u => upper.EndsWith(u.Unit, StringComparison.Ordinal));
        string digits = upper[..^unit.Length].TrimEnd();
        return decimal.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number)
            && number <= long.MaxValue / bytes && number * bytes >= 1
            ? (long)(number * bytes)
            : throw new UserErrorException(
                $"--shard_size {text}: expected bytes, or a number with KB, MB, GB, KiB, MiB or GiB, such as 5GB");
    }

    /// <summary>The precision a model is stored in: its embedding's, but float32 for float64.</summary>
    /// <exception cref="UserErrorException">It has no embedding, or one of no float type.</exception>
    public static TensorType StoredType(IParameterSource parameters) =>
        parameters.TryGet("embed.weight", out TensorType type, out _, out _) && type.IsFloat()
            ? type == TensorType.F64 ? TensorType.F32 : type
            : throw new UserErrorException($"{parameters.Describe("embed.weight")} lacks the parameter embed.weight in a float type");
}
