namespace LlavaSharp.Lora;

/// <summary>How a low-rank adapter is shaped and scaled: y = W·x + s·B·(A·dropout(x)), with A [r, in] and B [out, r]. The defaults
/// are the recipe's.</summary>
public sealed record AdapterOptions
{
    /// <summary>--lora_r: r, the rank.</summary>
    public int Rank { get; init; } = 64;

    /// <summary>--lora_alpha: α, what the scale is made from.</summary>
    public double Alpha { get; init; } = 16;

    /// <summary>--lora_dropout: the share of an adapter's inputs that training drops; nothing is dropped elsewhere.</summary>
    public double Dropout { get; init; } = 0.05;

    /// <summary>--lora_bias.</summary>
    public LoraBias Bias { get; init; }

    /// <summary>Whether the scale is α/√r instead of α/r (rank-stabilised LoRA).</summary>
    public bool RankStabilized { get; init; }

    /// <summary>Whether each output row of the adapted weight is scaled to a learned length (weight-decomposed LoRA).</summary>
    public bool Dora { get; init; }

    /// <summary>s, what the product of the two matrices is multiplied with.</summary>
    public double Scale => RankStabilized ? Alpha / Math.Sqrt(Rank) : Alpha / Rank;

    /// <summary>What the engine attaches.</summary>
    /// <param name="seed">Key of A's first values and of the dropout masks.</param>
    /// <exception cref="UserErrorException">The values are none that an adapter can have.</exception>
    public Interop.LoraOptions ToEngine(long seed)
    {
        Check();
        return new() { Rank = Rank, Alpha = Alpha, Dropout = Dropout, Seed = seed, RankStabilized = RankStabilized, Decomposed = Dora };
    }

    /// <summary>Refuses values that no adapter can have.</summary>
    /// <exception cref="UserErrorException">The rank is not positive, alpha is not a positive number, or dropout is not in
    /// [0, 1).</exception>
    public void Check()
    {
        if (Rank < 1)
        {
            throw new UserErrorException($"--lora_r {Rank}: a rank is at least 1");
        }

        if (!(double.IsFinite(Alpha) && Alpha > 0))
        {
            throw new UserErrorException(FormattableString.Invariant($"--lora_alpha {Alpha}: it must be above 0"));
        }

        if (!(Dropout >= 0 && Dropout < 1))
        {
            throw new UserErrorException(FormattableString.Invariant($"--lora_dropout {Dropout}: it must be at least 0 and below 1"));
        }
    }
}
