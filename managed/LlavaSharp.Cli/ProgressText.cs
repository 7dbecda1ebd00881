using System.Globalization;
using LlavaSharp.Training;

namespace LlavaSharp.Cli;

/// <summary>Puts an update into words. Speeds are averages since the run began, so that the line does not flicker.</summary>
internal sealed class ProgressText
{
    private double _seconds, _waited, _flops;
    private long _samples, _tokens;
    private int _updates;

    /// <summary>Counts an update.</summary>
    public void Add(StepRecord step)
    {
        _seconds += step.Seconds;
        _waited += step.DataWaitSeconds;
        _samples += step.Samples;
        _tokens += step.Tokens;
        _flops += step.Flops;
        _updates++;
    }

    /// <summary>The line for the update counted last.</summary>
    public string Line(StepRecord step)
    {
        var seconds = Math.Max(_seconds, 1e-9);
        var left = TimeSpan.FromSeconds(seconds / _updates * (step.TotalSteps - step.Step));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{step.Step}/{step.TotalSteps}  {Loss(step)}  lr {step.LearningRate:0.00e0}  {_samples / seconds:0.0} samples/s  "
            + $"{_tokens / seconds:0} tokens/s  {Work(step.PeakFlops, _flops / seconds)}  {step.ResidentBytes / 1048576.0:0} MiB  data wait {100 * _waited / seconds:0} %  ETA {Eta(left)}");
    }

    private static string Loss(StepRecord step) => step.SupervisedTokens == 0 ? "nothing to learn"
        : !double.IsFinite(step.Loss) ? "left out"
        : string.Create(CultureInfo.InvariantCulture, $"loss {step.Loss:0.0000}");

    private static string Work(double? peak, double rate) => peak > 0
        ? string.Create(CultureInfo.InvariantCulture, $"MFU {100 * rate / peak:0.0} %")
        : string.Create(CultureInfo.InvariantCulture, $"{rate / 1e9:0.0} GFLOP/s");

    private static string Eta(TimeSpan left) =>
        left.TotalHours >= 1
            ? string.Create(CultureInfo.InvariantCulture, $"{(int)left.TotalHours}:{left.Minutes:00}:{left.Seconds:00}")
            : string.Create(CultureInfo.InvariantCulture, $"{left.Minutes}:{left.Seconds:00}");
}
