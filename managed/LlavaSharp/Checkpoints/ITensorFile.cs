using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>One file of named tensors, whatever its format.</summary>
internal interface ITensorFile : IDisposable
{
    string Path { get; }

    IReadOnlyList<string> Names { get; }

    bool Contains(string name);

    /// <summary>The element type of a tensor that is there; asking does not fail for a type that is not read.</summary>
    TensorType TypeOf(string name);

    bool TryGet(string name, out TensorType type, out long[] shape, out LongBytes bytes);
}
