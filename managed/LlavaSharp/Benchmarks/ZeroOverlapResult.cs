namespace LlavaSharp.Benchmarks;

/// <summary>How long an update of two ranks took when each exchange took longer by a delay, and what the simulation says of it.</summary>
/// <param name="Case">What differs.</param>
/// <param name="Delay">Seconds that each exchange takes longer.</param>
/// <param name="Exchanges">Of an update.</param>
/// <param name="Seconds">An update; the median.</param>
/// <param name="Exposed">Of these, waiting for exchanges.</param>
/// <param name="PredictedSeconds">An update, as simulated.</param>
/// <param name="PredictedExposed">Of these, waiting for exchanges.</param>
public sealed record ZeroOverlapResult(
    string Case, double Delay, long Exchanges, double Seconds, double Exposed, double PredictedSeconds, double PredictedExposed);
