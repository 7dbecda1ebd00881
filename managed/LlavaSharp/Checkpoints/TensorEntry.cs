namespace LlavaSharp.Checkpoints;

/// <summary>Where one tensor lies in a safetensors file.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Type">Encoding of its elements.</param>
/// <param name="Shape">Row-major axes; empty for a scalar.</param>
/// <param name="Begin">First byte, counted from the end of the header.</param>
/// <param name="End">One past its last byte, counted from the end of the header.</param>
public sealed record TensorEntry(string Name, TensorType Type, long[] Shape, long Begin, long End)
{
    /// <summary>The type's name in the file, such as <c>F8_E4M3</c>; says what <see cref="TensorType.Other"/> is.</summary>
    public string TypeName { get; init; } = Type.SafetensorsName();

    /// <summary>Bytes it takes.</summary>
    public long ByteCount => End - Begin;
}
