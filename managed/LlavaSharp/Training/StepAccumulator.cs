using System.Diagnostics;
using LlavaSharp.Interop;

namespace LlavaSharp.Training;

/// <summary>Makes one update from its micro-batches, and measures it.</summary>
internal sealed class StepAccumulator(
    Engine engine, Trainer trainer, MicroBatches batches, BatchBuilder builder, TrainingPlan plan, IProgressSink progress,
    ModelFlops count, long done)
{
    /// <summary>Micro-batches of all whole updates so far, earlier runs' included.</summary>
    public long MicroBatches { get; private set; } = done;

    /// <summary>Takes samples down that are left out; null when none may be.</summary>
    public SkippedSamples? Skipped { get; init; }

    /// <summary>Whether the loss is the mean over all supervised tokens of the update, not of its micro-batches' means.</summary>
    public bool ByTokens { get; init; }

    public StepRecord Run(int step, ParameterGroup[] groups, double maxNorm, double learningRate, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var waited = batches.Waited;
        var (lossSum, flops, weights, left, masked) = (0.0, 0.0, 0.0, 0, 0);
        int samples = 0, tokens = 0, supervised = 0;

        // By tokens, an update's weights are known only when all of its micro-batches are: they are held until then.
        List<(IReadOnlyList<PreparedSample> Batch, BatchLayout Layout)>? held = ByTokens ? [.. Layouts(cancellation)] : null;
        var total = held?.Sum(h => (double)h.Layout.SupervisedTokens) ?? 0;
        foreach (var (batch, layout) in held ?? Layouts(cancellation))
        {
            samples += batch.Count(s => s.Problem is null);
            left += batch.Count(s => s.Problem is not null);
            masked += batch.Count(s => s.Text.RecipeMasks);
            tokens += layout.Tokens.Length;
            supervised += layout.SupervisedTokens;
            flops += layout.SupervisedTokens == 0 ? 0 : count.Of(layout);
            if (layout.SupervisedTokens == 0)
            {
                WarnOfNothing(step, batch);
                continue;
            }

            var scale = ByTokens ? 1 / total : 1.0 / ((double)layout.SupervisedTokens * plan.Accumulation);
            var weight = ByTokens ? layout.SupervisedTokens : 1.0;
            lossSum += weight * Accumulate(step, batch, layout, scale);
            weights += weight;
        }

        MicroBatches += plan.MicroBatchesPerStep;
        var norm = weights == 0 ? double.NaN : Update(step, groups, maxNorm);
        return new()
        {
            Step = step + 1,
            TotalSteps = plan.TotalSteps,
            Epoch = plan.EpochAfter(MicroBatches),
            Loss = weights == 0 ? double.NaN : lossSum / weights,
            LearningRate = learningRate,
            GradientNorm = norm,
            Samples = samples,
            Tokens = tokens,
            SupervisedTokens = supervised,
            SkippedSamples = left,
            RecipeMasked = masked,
            Seconds = clock.Elapsed.TotalSeconds,
            DataWaitSeconds = (batches.Waited - waited).TotalSeconds,
            Flops = flops,
            ResidentBytes = engine.Memory().Resident,
        };
    }

    private IEnumerable<(IReadOnlyList<PreparedSample> Batch, BatchLayout Layout)> Layouts(CancellationToken cancellation)
    {
        for (var micro = 0; micro < plan.MicroBatchesPerStep; micro++)
        {
            cancellation.ThrowIfCancellationRequested();
            var batch = batches.Next();
            foreach (var sample in batch)
            {
                if (sample.Problem is { } problem)
                {
                    Skipped?.Add(problem);
                }
            }

            yield return (batch, builder.Build(batch));
        }
    }

    private void WarnOfNothing(int step, IReadOnlyList<PreparedSample> batch)
    {
        PreparedSample[] kept = [.. batch.Where(s => s.Problem is null)];
        progress.Warn(kept.Length == 0
            ? $"update {step + 1}: every sample of a micro-batch was left out"
            : $"update {step + 1}: nothing to learn in {Names(kept)}: every answer lies past --model_max_length or is masked");
    }

    private double Accumulate(int step, IReadOnlyList<PreparedSample> batch, BatchLayout layout, double scale)
    {
        try
        {
            return trainer.Accumulate(layout.ToPacked(), scale).Mean;
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
