namespace LlavaSharp.Interop;

/// <summary>A LoRA adapter (Hu et al. 2021), with PEFT's arithmetic: y = x·Wᵀ + s·(drop(x)·Aᵀ)·Bᵀ.</summary>
public sealed record LoraOptions
{
    /// <summary>r, at least 1: A is [r,in], B is [out,r].</summary>
    public int Rank { get; init; } = 8;

    /// <summary>s = alpha / r.</summary>
    public double Alpha { get; init; } = 16;

    /// <summary>Probability of dropping an input, 0 ≤ p &lt; 1; in training passes only.</summary>
    public double Dropout { get; init; }

    /// <summary>Key of A's first values and of the dropout masks.</summary>
    public long Seed { get; init; }

    /// <summary>s = alpha / √r instead.</summary>
    public bool RankStabilized { get; init; }

    /// <summary>DoRA (Liu et al. 2024): the rows of W + s·B·A have lengths that train, [out], and begin as W's; what drops out reaches
    /// the base as PEFT has it.</summary>
    public bool Decomposed { get; init; }
}
