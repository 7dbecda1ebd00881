namespace LlavaSharp.Generation;

/// <summary>How answers are drawn.</summary>
public sealed record GenerationOptions
{
    /// <summary>0 always takes the likeliest token; higher is more varied.</summary>
    public double Temperature { get; init; }

    /// <summary>Draw only from the likeliest tokens whose probabilities reach this sum.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Longest answer, tokens.</summary>
    public int MaxNewTokens { get; init; } = 512;

    /// <summary>Seed of the draws.</summary>
    public long Seed { get; init; }
}
