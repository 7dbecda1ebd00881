using System.Diagnostics;
using LlavaSharp.Interop;

namespace LlavaSharp.Benchmarks;

/// <summary>Times whole training steps: forward, backward, clipping, AdamW. The floor beside them is native/bench's.</summary>
public static class StepBench
{
    /// <summary>Times a case.</summary>
    /// <param name="case">What to time.</param>
    /// <param name="cancellation">Stops between steps.</param>
    /// <returns>The median, and the engine's memory.</returns>
    public static StepBenchResult Run(StepCase @case, CancellationToken cancellation = default)
    {
        PackedBatch batch = @case.Draw();
        using Engine engine = new(new EngineOptions { Threads = @case.Threads });
        using Model model = new(engine, @case.Config);
        @case.Prepare(model);
        using Trainer trainer = new(model);
        List<double> times = [];
        double loss = 0;
        for (int step = 0; step <= @case.Steps; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            LossResult result = trainer.Accumulate(batch, 1.0 / batch.SampleCount);
            trainer.Step([new ParameterGroup(1e-3, 0)], 1);
            loss = result.Sum / result.Tokens;

            // Memory is first touched in the first.
            if (step > 0)
            {
                times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }

        times.Sort();
        double median = (times[times.Count / 2] + times[(times.Count - 1) / 2]) / 2;
        long peak = engine.Memory().Peak;
        return new(@case.Stage, @case.Hidden, @case.Layers, @case.Batch, batch.Tokens.Length, engine.Threads, median, peak, loss);
    }
}
