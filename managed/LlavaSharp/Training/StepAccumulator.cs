using System.Diagnostics;
using LlavaSharp.Interop;

namespace LlavaSharp.Training;

/// <summary>Makes one update from its micro-batches, and measures it.</summary>
internal sealed class StepAccumulator(
    Engine engine, Trainer trainer, MicroBatches batches, BatchBuilder builder, TrainingPlan plan, IProgressSink progress, long done)
{
    /// <summary>Micro-batches of all whole updates so far, earlier runs' included.</summary>
    public long MicroBatches { get; private set; } = done;

    public StepRecord Run(int step, ParameterGroup[] groups, double maxNorm, double learningRate, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var waited = batches.Waited;
        var (lossSum, learned) = (0.0, 0);
        int samples = 0, tokens = 0, supervised = 0;
        for (var micro = 0; micro < plan.MicroBatchesPerStep; micro++)
        {
            cancellation.ThrowIfCancellationRequested();
            var batch = batches.Next();
            var layout = builder.Build(batch);
            samples += batch.Count;
            tokens += layout.Tokens.Length;
            supervised += layout.SupervisedTokens;
            if (layout.SupervisedTokens == 0)
            {
                progress.Warn($"update {step + 1}: nothing to learn in {Names(batch)}: every answer lies past --model_max_length or is masked");
                continue;
            }

            lossSum += Accumulate(step, batch, layout);
            learned++;
        }

        MicroBatches += plan.MicroBatchesPerStep;
        var norm = learned == 0 ? double.NaN : Update(step, groups, maxNorm);
        return new()
        {
            Step = step + 1,
            TotalSteps = plan.TotalSteps,
            Epoch = plan.EpochAfter(MicroBatches),
            Loss = learned == 0 ? double.NaN : lossSum / learned,
            LearningRate = learningRate,
            GradientNorm = norm,
            Samples = samples,
            Tokens = tokens,
            SupervisedTokens = supervised,
            Seconds = clock.Elapsed.TotalSeconds,
            DataWaitSeconds = (batches.Waited - waited).TotalSeconds,
            ResidentBytes = engine.Memory().Resident,
        };
    }

    private double Accumulate(int step, IReadOnlyList<PreparedSample> batch, BatchLayout layout)
    {
        try
        {
            return trainer.Accumulate(layout.ToPacked(), 1.0 / ((double)layout.SupervisedTokens * plan.Accumulation)).Mean;
        }
        catch (EngineException e) when (e.Status == EngineStatus.Numeric)
        {
            throw new UserErrorException(
                $"update {step + 1}: the loss is not a number on {Names(batch)}; nothing was updated by it. "
                + "Lower --learning_rate, or look at these samples", e);
        }
    }

    private double Update(int step, ParameterGroup[] groups, double maxNorm)
    {
        try
        {
            return trainer.Step(groups, maxNorm);
        }
        catch (EngineException e) when (e.Status == EngineStatus.Numeric)
        {
            throw new UserErrorException($"update {step + 1}: the gradient is not finite; nothing was updated. Lower --learning_rate", e);
        }
    }

    private static string Names(IReadOnlyList<PreparedSample> batch) =>
        string.Join(", ", batch.Take(8).Select(s => s.Name)) + (batch.Count > 8 ? $" and {batch.Count - 8} more" : "");
}
