using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>A model in an engine, and what it was read from.</summary>
/// <param name="Model">Owned by whoever asked for it.</param>
/// <param name="Config">Its shape.</param>
/// <param name="FreshProjector">Whether the projector was drawn rather than read.</param>
public sealed record LoadedModel(Model Model, LlavaConfig Config, bool FreshProjector) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Model.Dispose();
}
