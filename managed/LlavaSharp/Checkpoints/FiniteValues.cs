using System.Globalization;
using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>Finds values that no model can be computed from: infinities, values that are no numbers, and values that the type they are
/// to be stored in cannot hold.</summary>
internal static class FiniteValues
{
    // The least magnitudes that round to infinity.
    internal const double Float16End = 65520;

    private const double BFloat16End = 3.3961775292304602e38, Float32End = 3.4028235677973366e38;

    /// <summary>Finds the first value that float32 does not hold as a finite number.</summary>
    /// <param name="type">F32, F16, BF16 or F64.</param>
    /// <param name="bytes">The elements.</param>
    /// <returns>Its index; -1 if there is none.</returns>
    internal static long FindOther(TensorType type, LongBytes bytes)
    {
        const int Piece = 1 << 24;
        for (long at = 0; at < bytes.Length; at += Piece)
        {
            ReadOnlySpan<byte> piece = bytes.Slice(at, (int)Math.Min(Piece, bytes.Length - at));
            if (FindIn(type, piece) is >= 0 and var found)
            {
                return (at / type.ByteSize()) + found;
            }
        }

        return -1;
    }

    /// <summary>The value at an index, and where it stands: <c>NaN at [3, 17]</c>.</summary>
    /// <param name="type">F32, F16, BF16 or F64.</param>
    /// <param name="bytes">The elements.</param>
    /// <param name="index">The value's.</param>
    /// <param name="shape">Row-major axes.</param>
    internal static string Place(TensorType type, LongBytes bytes, long index, ReadOnlySpan<long> shape)
    {
        ReadOnlySpan<byte> element = bytes.Slice(index * type.ByteSize(), type.ByteSize());
        Span<float> value = stackalloc float[1];
        TensorConvert.ToFloats(type, element, value);
        string text = type == TensorType.F64 ? Text(MemoryMarshal.Read<double>(element)) : Text(value[0]);
        return $"{text} at {Index(index, shape)}";
    }

    /// <summary>Refuses values that a narrower type would turn into infinities.</summary>
    /// <param name="values">The values, finite; a piece of the parameter.</param>
    /// <param name="first">Index of the piece's first value in the parameter.</param>
    /// <param name="shape">The parameter's axes.</param>
    /// <param name="type">The type that they are stored as: F32, F16 or BF16.</param>
    /// <param name="name">What the parameter is called, for the message.</param>
    /// <exception cref="UserErrorException">A value is too large for the type.</exception>
    internal static void RequireFit(ReadOnlySpan<float> values, long first, ReadOnlySpan<long> shape, TensorType type, string name)
    {
        (double end, string flag, string remedy) = type switch
        {
            TensorType.F16 => (Float16End, "f16, which ends at 65504", "--dtype bf16"),
            TensorType.BF16 => (BFloat16End, "bf16, which ends at 3.39e38", "--dtype f32"),
            _ => (double.PositiveInfinity, "", ""),
        };
        RequireBelow(values, end, first, shape, flag, remedy, name);
    }

    /// <summary>Refuses values at or above an end.</summary>
    /// <param name="values">The values, finite; a piece of the parameter.</param>
    /// <param name="end">The least magnitude that is refused.</param>
    /// <param name="first">Index of the piece's first value in the parameter.</param>
    /// <param name="shape">The parameter's axes.</param>
    /// <param name="into">The type that it does not fit, and where that ends.</param>
    /// <param name="remedy">The flag to use instead.</param>
    /// <param name="name">What the parameter is called, for the message.</param>
    /// <exception cref="UserErrorException">One is.</exception>
    internal static void RequireBelow(
        ReadOnlySpan<float> values, double end, long first, ReadOnlySpan<long> shape, string into, string remedy, string name)
    {
        if (values.IsEmpty || double.IsPositiveInfinity(end) || Math.Abs(TensorPrimitives.MaxMagnitude(values)) < end)
        {
            return;
        }

        int at = 0;
        while (Math.Abs(values[at]) < end)
        {
            at++;
        }

        throw new UserErrorException(
            $"{name} holds {Text(values[at])} at {Index(first + at, shape)}: too large for {into}; use {remedy}");
    }

    private static long FindIn(TensorType type, ReadOnlySpan<byte> bytes) => type switch
    {
        // An exponent of ones alone is an infinity or a NaN.
        TensorType.F16 => FindOnes(MemoryMarshal.Cast<byte, ushort>(bytes), (ushort)0x7C00),
        TensorType.BF16 => FindOnes(MemoryMarshal.Cast<byte, ushort>(bytes), (ushort)0x7F80),
        TensorType.F32 => FindOnes(MemoryMarshal.Cast<byte, uint>(bytes), 0x7F800000u),
        _ => FindDouble(MemoryMarshal.Cast<byte, double>(bytes)),
    };

    private static long FindOnes<T>(ReadOnlySpan<T> bits, T mask)
        where T : struct, IBinaryInteger<T>
    {
        var ones = new Vector<T>(mask);
        int at = 0;
        while (at <= bits.Length - Vector<T>.Count && !Vector.EqualsAny(new Vector<T>(bits[at..]) & ones, ones))
        {
            at += Vector<T>.Count;
        }

        while (at < bits.Length && (bits[at] & mask) != mask)
        {
            at++;
        }

        return at < bits.Length ? at : -1;
    }

    private static long FindDouble(ReadOnlySpan<double> values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            if (!(Math.Abs(values[i]) < Float32End))
            {
                return i;
            }
        }

        return -1;
    }

    private static string Text(double value) => value.ToString("G6", CultureInfo.InvariantCulture);

    private static string Index(long index, ReadOnlySpan<long> shape)
    {
        long[] places = new long[shape.Length];
        for (int axis = shape.Length - 1; axis >= 0; axis--)
        {
            (index, places[axis]) = Math.DivRem(index, shape[axis]);
        }

        return TensorTypes.Format(places);
    }
}
