namespace LlavaSharp.Checkpoints;

/// <summary>Names and sizes of <see cref="TensorType"/>.</summary>
public static class TensorTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int ByteSize(this TensorType type) => type switch
    {
        TensorType.F64 or TensorType.I64 or TensorType.U64 => 8,
        TensorType.F32 or TensorType.I32 or TensorType.U32 => 4,
        TensorType.F16 or TensorType.BF16 or TensorType.I16 or TensorType.U16 => 2,
        _ => 1,
    };

    /// <summary>Whether the engine can read it: one of the four floating-point types.</summary>
    public static bool IsFloat(this TensorType type) =>
        type is TensorType.F32 or TensorType.F16 or TensorType.BF16 or TensorType.F64;

    /// <summary>The name that a safetensors header uses, such as <c>BF16</c>.</summary>
    public static string SafetensorsName(this TensorType type) =>
        type == TensorType.Bool ? "BOOL" : type.ToString();

    /// <summary>The name that <c>config.json</c> uses for a stored precision, such as <c>bfloat16</c>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The type is not float32, float16 or bfloat16.</exception>
    public static string ConfigName(this TensorType type) => type switch
    {
        TensorType.F32 => "float32",
        TensorType.F16 => "float16",
        TensorType.BF16 => "bfloat16",
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not a precision of weights"),
    };

    /// <summary>Reads a safetensors type name; false for one that is not supported (such as <c>F8_E4M3</c>).</summary>
    public static bool TryParseSafetensors(string? name, out TensorType type)
    {
        type = default;
        if (name == "BOOL")
        {
            type = TensorType.Bool;
            return true;
        }

        // Enum.TryParse alone would take numbers, other cases and "Bool".
        return name is { Length: > 0 } && char.IsAsciiLetterUpper(name[0])
            && Enum.TryParse(name, ignoreCase: false, out type) && type.ToString() == name
            && type is not (TensorType.Bool or TensorType.Other);
    }

    /// <summary>Elements of a shape; false when the product does not fit in 64 bits or an axis is negative.</summary>
    public static bool TryCount(ReadOnlySpan<long> shape, out long count)
    {
        count = 1;
        bool empty = false;
        foreach (long axis in shape)
        {
            if (axis < 0)
            {
                return false;
            }

            empty |= axis == 0;
        }

        if (empty)
        {
            count = 0;
            return true;
        }

        foreach (long axis in shape)
        {
            Int128 product = (Int128)count * axis;
            if (product > long.MaxValue)
            {
                return false;
            }

            count = (long)product;
        }

        return true;
    }

    /// <summary>A shape as text: <c>[768, 3, 14, 14]</c>.</summary>
    public static string Format(ReadOnlySpan<long> shape) => $"[{string.Join(", ", shape.ToArray())}]";
}
