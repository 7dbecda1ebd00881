namespace LlavaSharp.Interop;

/// <summary>How tokens are drawn.</summary>
public sealed record SamplingOptions
{
    /// <summary>0 = greedy, the lowest id on ties.</summary>
    public double Temperature { get; init; }

    /// <summary>Nucleus: 0 &lt; p ≤ 1.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>0 = all.</summary>
    public int TopK { get; init; }

    /// <summary>The longest answer, at least 1.</summary>
    public int MaxNewTokens { get; init; } = 512;

    /// <summary>Key of the counter-based draws.</summary>
    public long Seed { get; init; }
}
