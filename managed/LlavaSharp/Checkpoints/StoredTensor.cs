namespace LlavaSharp.Checkpoints;

/// <summary>A tensor in memory, as it was stored.</summary>
/// <param name="Type">Encoding of its elements.</param>
/// <param name="Shape">Row-major axes.</param>
/// <param name="Bytes">Its elements, little-endian.</param>
public sealed record StoredTensor(TensorType Type, long[] Shape, byte[] Bytes);
