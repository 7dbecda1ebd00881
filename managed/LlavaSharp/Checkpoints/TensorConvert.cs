using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>Converts between float32 and the stored precisions, rounding to nearest, ties to even.</summary>
public static class TensorConvert
{
    /// <summary>Decodes little-endian elements of a float type into float32.</summary>
    /// <param name="type">F32, F16, BF16 or F64.</param>
    /// <param name="bytes">The elements; <paramref name="values"/>.Length · <see cref="TensorTypes.ByteSize"/> bytes.</param>
    /// <param name="values">Receives them.</param>
    /// <exception cref="ArgumentException">The type is not a float type, or the lengths do not fit.</exception>
    public static void ToFloats(TensorType type, ReadOnlySpan<byte> bytes, Span<float> values)
    {
        Check(type, bytes.Length, values.Length);
        switch (type)
        {
            case TensorType.F32:
                bytes.CopyTo(MemoryMarshal.AsBytes(values));
                break;
            case TensorType.F16:
                TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(bytes), values);
                break;
            case TensorType.BF16:
                ReadOnlySpan<ushort> halves = MemoryMarshal.Cast<byte, ushort>(bytes);
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = BitConverter.UInt32BitsToSingle((uint)halves[i] << 16);
                }

                break;
            default:
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = (float)BinaryPrimitives.ReadDoubleLittleEndian(bytes[(8 * i)..]);
                }

                break;
        }
    }

    /// <summary>Decodes a part of a tensor of any size.</summary>
    /// <param name="type">F32, F16, BF16 or F64.</param>
    /// <param name="bytes">The tensor's elements.</param>
    /// <param name="first">Index of the first element that is decoded.</param>
    /// <param name="values">Receives as many as it has room for.</param>
    /// <exception cref="ArgumentException">The type is not a float type, or there are fewer elements.</exception>
    public static void ToFloats(TensorType type, LongBytes bytes, long first, Span<float> values)
    {
        const int Piece = 1 << 20;
        while (!values.IsEmpty)
        {
            int count = Math.Min(values.Length, Piece), size = type.ByteSize();
            ToFloats(type, bytes.Slice(first * size, count * size), values[..count]);
            first += count;
            values = values[count..];
        }
    }

    /// <summary>Encodes float32 values as little-endian elements of a float type.</summary>
    /// <param name="values">The values.</param>
    /// <param name="type">F32, F16, BF16 or F64.</param>
    /// <param name="bytes">Receives <paramref name="values"/>.Length · <see cref="TensorTypes.ByteSize"/> bytes.</param>
    /// <exception cref="ArgumentException">The type is not a float type, or the lengths do not fit.</exception>
    public static void FromFloats(ReadOnlySpan<float> values, TensorType type, Span<byte> bytes)
    {
        Check(type, bytes.Length, values.Length);
        switch (type)
        {
            case TensorType.F32:
                MemoryMarshal.AsBytes(values).CopyTo(bytes);
                break;
            case TensorType.F16:
                TensorPrimitives.ConvertToHalf(values, MemoryMarshal.Cast<byte, Half>(bytes));
                break;
            case TensorType.BF16:
                Span<ushort> halves = MemoryMarshal.Cast<byte, ushort>(bytes);
                for (int i = 0; i < values.Length; i++)
                {
                    halves[i] = ToBFloat16(values[i]);
                }

                break;
            default:
                for (int i = 0; i < values.Length; i++)
                {
                    BinaryPrimitives.WriteDoubleLittleEndian(bytes[(8 * i)..], values[i]);
                }

                break;
        }
    }

    /// <summary>The nearest bfloat16, ties to even; a NaN stays one.</summary>
    internal static ushort ToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value)
            ? (ushort)((bits >> 16) | 0x40)
            : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private static void Check(TensorType type, int byteCount, int count)
    {
        if (!type.IsFloat())
        {
            throw new ArgumentException($"{type} is not a float type", nameof(type));
        }

        if ((long)count * type.ByteSize() != byteCount)
        {
            throw new ArgumentException($"{count} elements of {type} take {(long)count * type.ByteSize()} bytes, "
                + $"not {byteCount}", nameof(byteCount));
        }
    }
}
