using System.Globalization;
using LlavaSharp.Reporting;

namespace LlavaSharp.Training;

/// <summary>The page that <c>train</c> leaves: what the run was, where the loss went, how fast it was.</summary>
public static class TrainingReport
{
    /// <summary>Builds the page.</summary>
    /// <param name="name">What the run was, such as "Stage 1: feature alignment".</param>
    /// <param name="result">Its updates.</param>
    /// <param name="facts">Rows of the settings table.</param>
    /// <returns>HTML.</returns>
    public static string Build(string name, TrainingResult result, IEnumerable<(string Name, string Value)> facts)
    {
        var steps = result.Steps;
        var x = steps.Select(s => (double)s.Step).ToArray();
        ChartSeries Curve(string label, Func<StepRecord, double> of) => new(label, x, [.. steps.Select(of)]);
        double samples = steps.Sum(s => (double)s.Samples), tokens = steps.Sum(s => (double)s.Tokens);
        var seconds = Math.Max(result.Seconds, 1e-9);
        var page = new HtmlReport(name, Text($"{steps.Count} updates, {samples:0} samples, {Duration(seconds)}"))
            .Tiles(
            [
                ("first loss", Text($"{steps.Select(s => s.Loss).FirstOrDefault(double.IsFinite, double.NaN):0.000}")),
                ("loss, last tenth", Text($"{Tail(result):0.000}")),
                ("samples a second", Text($"{samples / seconds:0.0}")),
                ("tokens a second", Text($"{tokens / seconds:0}")),
                Speed(steps, seconds),
                ("waited for data", Text($"{100 * steps.Sum(s => s.DataWaitSeconds) / seconds:0} %")),
                ("memory, MiB", Text($"{steps.Max(s => s.ResidentBytes) / 1048576.0:0}")),
            ])
            .BeginGrid()
            .Chart("Loss", "update", [Curve("loss", s => s.Loss)])
            .Chart("Learning rate", "update", [Curve("learning rate", s => s.LearningRate) with { IsExact = true }], fromZero: true)
            .Chart("Gradient norm", "update", [Curve("gradient norm", s => s.GradientNorm)], fromZero: true)
            .Chart("Throughput", "update", [Curve("tokens a second", s => s.TokensPerSecond)], fromZero: true)
            .Chart("Memory", "update", [Curve("MiB", s => s.ResidentBytes / 1048576.0)], fromZero: true);
        if (steps.Any(s => s.SkippedSamples > 0))
        {
            var left = 0.0;
            page = page.Chart("Samples left out so far", "update", [Curve("samples", s => left += s.SkippedSamples)], fromZero: true);
        }

        return page.EndGrid()
            .Heading("Settings")
            .Table(["setting", "value"], facts.Select(f => new[] { f.Name, f.Value }))
            .ToString();
    }

    private static (string, string) Speed(IReadOnlyList<StepRecord> steps, double seconds)
    {
        var rate = steps.Sum(s => s.Flops) / seconds;
        return steps.Select(s => s.PeakFlops).LastOrDefault(p => p > 0) is { } peak
            ? (Text($"MFU, of {peak / 1e12:0.###} TFLOP/s"), Text($"{100 * rate / peak:0.0} %"))
            : ("GFLOP/s of the model", Text($"{rate / 1e9:0.0}"));
    }

    private static double Tail(TrainingResult result) => result.Losses.Skip(result.Steps.Count - Math.Max(1, result.Steps.Count / 10))
        .Where(double.IsFinite).DefaultIfEmpty(result.LastLoss).Average();

    private static string Duration(double seconds) => seconds < 90
        ? Text($"{seconds:0.0} seconds")
        : Text($"{Math.Floor(seconds / 60):0} min {seconds % 60:0} s");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
