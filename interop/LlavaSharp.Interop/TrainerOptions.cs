namespace LlavaSharp.Interop;

/// <summary>AdamW's fixed options (Loshchilov and Hutter 2019), with the defaults of torch.optim.AdamW.</summary>
public sealed record TrainerOptions
{
    /// <summary>Decay of the first moment.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the second moment.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the denominator.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>
    /// The first so many decoder layers keep only their input for backward, and run again: the same bits in less memory.
    /// </summary>
    public int RecomputeLayers { get; init; }

    /// <summary>
    /// Samples of a micro-batch run together up to so many tokens, a longer one alone: the same sums in less memory. 0: all
    /// where a decoder layer, an adapter or the head trains, else 1280.
    /// </summary>
    public int TokensAtOnce { get; init; }

    /// <summary>
    /// A folder for files that are mapped into memory in the place of memory itself. They have no names there, and nothing of them
    /// is left when the process ends, however it does. Their space is reserved when the trainer is made.
    /// </summary>
    public string OffloadFolder { get; init; } = "";

    /// <summary>Whether AdamW's moments lie in such files.</summary>
    public bool OffloadOptimizer { get; init; }

    /// <summary>Whether this rank's shards of weights do.</summary>
    public bool OffloadWeights { get; init; }

    // The folder's text outlives the struct.
    internal unsafe Native.TrainerOptions ToNative(byte* offloadFolder)
    {
        Native.TrainerOptionsInit(out Native.TrainerOptions native).ThrowIfFailed();
        native.Beta1 = Beta1;
        native.Beta2 = Beta2;
        native.Eps = Epsilon;
        native.RecomputeLayers = RecomputeLayers;
        native.TokensAtOnce = TokensAtOnce;
        native.OffloadFolder = offloadFolder;
        native.OffloadOptimizer = OffloadOptimizer ? 1 : 0;
        native.OffloadWeights = OffloadWeights ? 1 : 0;
        return native;
    }
}
