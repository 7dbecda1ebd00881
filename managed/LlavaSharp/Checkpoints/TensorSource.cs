namespace LlavaSharp.Checkpoints;

/// <summary>A tensor to be written: what it is, and how to get its bytes when its turn comes, so that a checkpoint
/// larger than memory can be written.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Type">Encoding of its elements.</param>
/// <param name="Shape">Row-major axes.</param>
/// <param name="WriteTo">Writes exactly <see cref="ByteCount"/> bytes, row-major and little-endian.</param>
public sealed record TensorSource(string Name, TensorType Type, IReadOnlyList<long> Shape, Action<Stream> WriteTo)
{
    /// <summary>Bytes it takes.</summary>
    public long ByteCount { get; } = CountBytes(Name, Type, [.. Shape]);

    /// <summary>A tensor whose bytes are in memory.</summary>
    public static TensorSource FromBytes(
        string name, TensorType type, IReadOnlyList<long> shape, ReadOnlyMemory<byte> bytes) =>
        new(name, type, shape, stream => stream.Write(bytes.Span));

    /// <summary>A float32 tensor in memory, stored as <paramref name="type"/>.</summary>
    public static TensorSource FromFloats(
        string name, IReadOnlyList<long> shape, ReadOnlyMemory<float> values, TensorType type = TensorType.F32) =>
        new(name, type, shape, stream => WriteFloats(stream, values.Span, type));

    private static long CountBytes(string name, TensorType type, long[] shape) =>
        TensorTypes.TryCount(shape, out long count) && count <= long.MaxValue / 8
            ? count * type.ByteSize()
            : throw new ArgumentException($"tensor '{name}' cannot have the shape {TensorTypes.Format(shape)}", nameof(shape));

    /// <summary>Encodes floats in pieces, so that no second copy of a large tensor exists.</summary>
    internal static void WriteFloats(Stream stream, ReadOnlySpan<float> values, TensorType type)
    {
        const int Piece = 1 << 16;
        byte[] buffer = new byte[Math.Min(values.Length, Piece) * type.ByteSize()];
        while (!values.IsEmpty)
        {
            int count = Math.Min(values.Length, Piece);
            Span<byte> encoded = buffer.AsSpan(0, count * type.ByteSize());
            TensorConvert.FromFloats(values[..count], type, encoded);
            stream.Write(encoded);
            values = values[count..];
        }
    }
}
