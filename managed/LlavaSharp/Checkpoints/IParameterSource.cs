using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>Where a model's parameters come from, by the engine's canonical names
/// (such as <c>layer.0.self_attn.q_proj.weight</c>).</summary>
public interface IParameterSource
{
    /// <summary>Finds a parameter.</summary>
    /// <param name="canonicalName">The engine's name.</param>
    /// <param name="type">Encoding of its elements.</param>
    /// <param name="shape">Row-major axes.</param>
    /// <param name="bytes">Its elements, little-endian; valid until the next call or until the source is disposed.</param>
    /// <returns>Whether the source has it.</returns>
    bool TryGet(string canonicalName, out TensorType type, out long[] shape, out LongBytes bytes);

    /// <summary>Where it would be looked for, for messages: a file or folder, and the stored name if known.</summary>
    string Describe(string canonicalName);
}
