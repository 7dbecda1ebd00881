namespace LlavaSharp.Gguf;

/// <summary>A tensor to be written: what it is, and how to get its bytes when its turn comes.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Type">Encoding of its elements.</param>
/// <param name="Shape">Row-major axes; the file lists them the other way round.</param>
/// <param name="WriteTo">Writes exactly <see cref="ByteCount"/> bytes, row-major and little-endian.</param>
public sealed record GgufTensor(string Name, GgufType Type, IReadOnlyList<long> Shape, Action<Stream> WriteTo)
{
    /// <summary>Bytes it takes.</summary>
    public long ByteCount { get; } =
        Shape.Take(Shape.Count - 1).Aggregate(1L, (a, b) => checked(a * b)) * GgufTypes.RowBytes(Type, Shape[^1]);
}
