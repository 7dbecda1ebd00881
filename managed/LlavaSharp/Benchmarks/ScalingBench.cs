using LlavaSharp.Checkpoints;
using LlavaSharp.Reporting;

namespace LlavaSharp.Benchmarks;

/// <summary>What a step costs when one of its sizes grows and the others stay, on one thread and on two.</summary>
public static class ScalingBench
{
    private static readonly StepCase Base = new() { Stage = "full", Hidden = 512, Layers = 4, Batch = 2, Tokens = 256, Steps = 2 };

    // What grows, what a chart measures it by, and the cases.
    private static readonly (string Name, Func<StepBenchResult, double> Size, StepCase[] Cases)[] Sweeps =
    [
        ("tokens", result => result.Tokens, [.. new[] { 64, 256, 640, 1152, 1920 }.Select(n => Base with { Tokens = n })]),
        ("layers", result => result.Layers, [.. new[] { 2, 4, 6, 8 }.Select(n => Base with { Layers = n })]),
        ("width", result => result.Hidden, [.. new[] { 256, 512, 768, 1024 }.Select(n => Base with { Hidden = n })]),
        ("batch", result => result.Batch, [.. new[] { 1, 2, 4, 6 }.Select(n => Base with { Batch = n })]),
    ];

    /// <summary>Measures, and draws scaling-sizes.svg and scaling-threads.svg.</summary>
    /// <param name="folder">Where they go.</param>
    /// <param name="print">Receives each result.</param>
    /// <param name="cancellation">Stops between steps.</param>
    public static void Run(string folder, Action<StepBenchResult> print, CancellationToken cancellation = default)
    {
        List<ChartSeries> sizes = [], threads = [];
        foreach ((string name, Func<StepBenchResult, double> size, StepCase[] cases) in Sweeps)
        {
            StepBenchResult[] two = Measure(cases, Environment.ProcessorCount, print, cancellation);
            double[] times = [.. two.Select(result => result.Seconds / two[0].Seconds)];
            sizes.Add(new(name, [.. two.Select(result => size(result) / size(two[0]))], times) { IsExact = true });
            if (name == "tokens")
            {
                StepBenchResult[] one = Measure(cases, 1, print, cancellation);
                double[] x = [.. one.Select(size)];
                threads.Add(new("1 thread", x, [.. one.Select(r => r.Seconds)]) { IsExact = true });
                threads.Add(new($"{two[0].Threads} threads", x, [.. two.Select(r => r.Seconds)]) { IsExact = true });
            }
        }

        Directory.CreateDirectory(folder);
        AtomicFile.WriteText(
            Path.Combine(folder, "scaling-sizes.svg"),
            SvgFile.Of("Cost of a step, times the smallest's", "size, times the smallest", sizes));
        AtomicFile.WriteText(
            Path.Combine(folder, "scaling-threads.svg"), SvgFile.Of("Seconds a step", "tokens, image rows included", threads));
    }

    private static StepBenchResult[] Measure(
        StepCase[] cases, int threads, Action<StepBenchResult> print, CancellationToken cancellation) => [.. cases.Select(@case =>
        {
            StepBenchResult result = StepBench.Run(@case with { Threads = threads }, cancellation);
            print(result);
            return result;
        })];
}
