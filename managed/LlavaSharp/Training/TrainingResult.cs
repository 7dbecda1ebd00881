namespace LlavaSharp.Training;

/// <summary>What a run of updates gave.</summary>
/// <param name="Steps">Every update, in order.</param>
/// <param name="Seconds">Wall-clock seconds.</param>
public sealed record TrainingResult(IReadOnlyList<StepRecord> Steps, double Seconds)
{
    /// <summary>Loss of each update, in order.</summary>
    public IReadOnlyList<double> Losses => [.. Steps.Select(s => s.Loss)];

    /// <summary>Loss of the last update that learned something; NaN where none did.</summary>
    public double LastLoss => Losses.LastOrDefault(double.IsFinite, double.NaN);

    /// <summary>Updates without a loss: nothing to learn, or a loss that was not a number and is left out.</summary>
    public int EmptySteps => Losses.Count(l => !double.IsFinite(l));

    /// <summary>Mean loss of the run: Hugging Face's train_loss.</summary>
    public double MeanLoss => Steps.Where(s => double.IsFinite(s.Loss)).Select(s => s.Loss).DefaultIfEmpty(double.NaN).Average();
}
