namespace LlavaSharp.Interop;

/// <summary>What a micro-batch gave.</summary>
/// <param name="Sum">Sum of the supervised tokens' cross entropies, in nats.</param>
/// <param name="Tokens">Supervised tokens.</param>
public readonly record struct LossResult(double Sum, long Tokens)
{
    /// <summary>Cross entropy a supervised token, in nats; NaN without one.</summary>
    public double Mean => Sum / Tokens;
}
