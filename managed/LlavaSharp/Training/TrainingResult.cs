namespace LlavaSharp.Training;

/// <summary>What a run of updates gave.</summary>
/// <param name="Steps">Every update, in order.</param>
/// <param name="Seconds">Wall-clock seconds.</param>
public sealed record TrainingResult(IReadOnlyList<StepRecord> Steps, double Seconds)
{
    /// <summary>Loss of each update, in order.</summary>
    public IReadOnlyList<double> Losses => [.. Steps.Select(s => s.Loss)];

    /// <summary>Mean loss of the run: Hugging Face's train_loss.</summary>
    public double MeanLoss => Steps.Where(s => double.IsFinite(s.Loss)).Select(s => s.Loss).DefaultIfEmpty(double.NaN).Average();
}
