namespace LlavaSharp.Interop;

/// <summary>The samples of a training step that run at once (<see cref="TrainerOptions.TokensAtOnce"/>), by their sizes alone:
/// what <see cref="MemoryPlan"/> is computed from.</summary>
public sealed record Workload
{
    /// <summary>T: their tokens, image rows included.</summary>
    public required long Tokens { get; init; }

    /// <summary>B.</summary>
    public required long Samples { get; init; }

    /// <summary>Tokens with a label that counts.</summary>
    public required long Supervised { get; init; }

    /// <summary>Images, none of them cut off.</summary>
    public long Images { get; init; }

    /// <summary>What trains.</summary>
    public required UnitKinds Units { get; init; }

    /// <summary>Rank of an adapter on every decoder linear; 0: none.</summary>
    public int LoraRank { get; init; }

    /// <summary>Whether they are <see cref="LoraOptions.Decomposed"/>.</summary>
    public bool LoraDecomposed { get; init; }

    /// <summary>As <see cref="TrainerOptions.RecomputeLayers"/>.</summary>
    public int RecomputeLayers { get; init; }

    /// <summary>CPU threads, at least 1.</summary>
    public int Threads { get; init; } = 1;

    internal Native.Workload ToNative()
    {
        Native.WorkloadInit(out Native.Workload native).ThrowIfFailed();
        native.Tokens = Tokens;
        native.Samples = Samples;
        native.Supervised = Supervised;
        native.Images = Images;
        native.Units = (int)Units;
        native.LoraRank = LoraRank;
        native.LoraDecomposed = LoraDecomposed ? 1 : 0;
        native.RecomputeLayers = RecomputeLayers;
        native.Threads = Threads;
        return native;
    }
}
