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

    internal Native.TrainerOptions ToNative()
    {
        Native.TrainerOptionsInit(out Native.TrainerOptions native).ThrowIfFailed();
        native.Beta1 = Beta1;
        native.Beta2 = Beta2;
        native.Eps = Epsilon;
        native.RecomputeLayers = RecomputeLayers;
        native.TokensAtOnce = TokensAtOnce;
        return native;
    }
}
