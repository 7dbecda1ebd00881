using System.Diagnostics;
using LlavaSharp.Interop;
using LlavaSharp.Zero;

namespace LlavaSharp.Training;

/// <summary>
/// Makes one update from its micro-batches, and measures it. They are read before any of them computes: the mean is over those that
/// have something to learn, so their number must be known, and with several processes a sample that cannot be read, or a wish to stop,
/// then ends all alike. Where a process has nothing to learn, it computes on a token that weighs nothing, so that the exchanges are the
/// same on all.
/// </summary>
internal sealed class StepAccumulator(
    Engine engine, Trainer trainer, MicroBatches batches, BatchBuilder builder, TrainingPlan plan, IProgressSink progress,
    ModelFlops count, long done)
{
    // What a process computes on that has nothing: a token that weighs nothing. The engine takes no batch without any to learn.
    private static readonly BatchLayout Nothing = new([0, 0], [-100, 0], [0, 1], [0, 2], [], [], 1);

    // Warnings of micro-batches without anything to learn; the log has them all.
    private const int Said = 10;

    private int _saidOfNothing;

    private readonly List<string> _notNumbers = [];

    // Names of the update's samples.
    private readonly List<string> _samples = [];

    /// <summary>Micro-batches of all whole updates so far, earlier runs' included.</summary>
    public long MicroBatches { get; private set; } = done;

    /// <summary>Whether the weights may be in the middle of an update: an error then leaves neither the old nor the new ones.</summary>
    public bool IsUpdating { get; private set; }

    /// <summary>Takes samples down that are left out; null when none may be.</summary>
    public SkippedSamples? Skipped { get; init; }

    /// <summary>Whether the loss is the mean over all supervised tokens of the update, not of its micro-batches' means.</summary>
    public bool ByTokens { get; init; }

    /// <summary>Whether an update whose loss or gradient is not a number is left out instead of ending the run.</summary>
    public bool SkipsNaN { get; init; }

    /// <summary>The processes.</summary>
    public Ranks Ranks { get; init; } = Ranks.Single;

    public StepRecord Run(int step, ParameterGroup[] groups, double maxNorm, double learningRate, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var waited = batches.Waited;
        var sums = new StepSums();
        var held = Ranks.Together("reading an update", () => Layouts(cancellation).ToList(), cancellation);
        var counts = Ranks.Gather("counting supervised tokens", (double[])
            [held.Sum(h => (double)h.Layout.SupervisedTokens), held.Count(h => h.Layout.SupervisedTokens > 0)]);
        var (tokens, learning) = (counts.Sum(c => c[0]), counts.Sum(c => c[1]));
        var learns = tokens > 0;
        _notNumbers.Clear();
        _samples.Clear();
        foreach (var (batch, layout) in held)
        {
            if (Ranks.World == 1)
            {
                cancellation.ThrowIfCancellationRequested();
            }

            _samples.AddRange(batch.Select(s => s.Name));
            sums.Add(batch, layout, layout.SupervisedTokens == 0 ? 0 : count.Of(layout));
            if (layout.SupervisedTokens == 0)
            {
                WarnOfNothing(step, batch);
                if (Ranks.World > 1 && learns)
                {
                    trainer.Accumulate(Nothing.ToPacked(), 0);
                }

                continue;
            }

            if (_notNumbers.Count > 0 && Ranks.World == 1)
            {
                // The gradients are spoilt: the update is left out.
                continue;
            }

            // The gradient's weights are the log's, whatever was left out and however short an epoch is.
            var scale = ByTokens ? 1 / tokens : 1.0 / (layout.SupervisedTokens * learning);
            var weight = ByTokens ? layout.SupervisedTokens : 1.0;
            sums.Loss += weight * Accumulate(step, batch, layout, scale);
            sums.Weights += weight;
        }

        MicroBatches += plan.MicroBatchesPerStep;
        var norm = learns ? Update(step, groups, maxNorm) : double.NaN;
        sums = sums.Over(Ranks);
        return new()
        {
            Step = step + 1,
            TotalSteps = plan.TotalSteps,
            Epoch = plan.EpochAfter(MicroBatches),
            Loss = sums.Weights == 0 ? double.NaN : sums.Loss / sums.Weights,
            LearningRate = learningRate,
            GradientNorm = norm,
            Samples = (int)sums.Samples,
            Tokens = (int)sums.Tokens,
            SupervisedTokens = (int)sums.Supervised,
            SkippedSamples = (int)sums.Left,
            RecipeMasked = (int)sums.Masked,
            Seconds = clock.Elapsed.TotalSeconds,
            DataWaitSeconds = (batches.Waited - waited).TotalSeconds,
            Flops = sums.Flops,
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
        if (++_saidOfNothing > Said)
        {
            return;
        }

        PreparedSample[] kept = [.. batch.Where(s => s.Problem is null)];
        var more = _saidOfNothing == Said ? "; further ones only show in log.jsonl (supervised_tokens)" : "";
        progress.Warn(kept.Length == 0
            ? $"update {step + 1}: every sample of a micro-batch was left out{more}"
            : $"update {step + 1}: nothing to learn in {Names(kept)}: every answer lies past --model_max_length or is masked{more}");
    }

    private double Accumulate(int step, IReadOnlyList<PreparedSample> batch, BatchLayout layout, double scale)
    {
        try
        {
            var mean = trainer.Accumulate(layout.ToPacked(), scale).Mean;
            if (!double.IsFinite(mean))
            {
                _notNumbers.Add(Names(batch));
            }

            return mean;
        }
        catch (EngineException e) when (e.Status == EngineStatus.Numeric)
        {
            _notNumbers.Add(Names(batch));
            if (SkipsNaN)
            {
                return double.NaN;
            }

            throw NotANumber(step, e);
        }
    }

    private double Update(int step, ParameterGroup[] groups, double maxNorm)
    {
        try
        {
            if (Ranks.World == 1 && _notNumbers.Count > 0)
            {
                throw new EngineException(EngineStatus.Numeric, "a micro-batch's loss is not a number");
            }

            IsUpdating = true;
            var norm = trainer.Step(groups, maxNorm);
            IsUpdating = false;
            return norm;
        }
        catch (EngineException e) when (e.Status == EngineStatus.Numeric)
        {
            IsUpdating = false;
            var error = NotANumber(step, e);
            if (!SkipsNaN)
            {
                throw error;
            }

            trainer.ClearGradients();
            progress.Warn($"{error.Message}; the update is left out");
            return double.NaN;
        }
    }

    // All processes get here together: the engine's own word is that of all.
    private UserErrorException NotANumber(int step, EngineException e)
    {
        var losses = OfAll("naming what is not a number", string.Join("; ", _notNumbers));
        return losses.Length > 0
            ? new($"update {step + 1}: the loss is not a number on {losses}; nothing was updated by it. "
                + "Lower --learning_rate, or look at these samples", e)
            : new($"update {step + 1}: the gradient is not finite ({e.Message}) on {OfAll("naming an update's samples", Names(_samples))}. "
                + "Lower --learning_rate, or look at these samples", e);
    }

    private string OfAll(string what, string own) => string.Join("; ", Ranks.Gather(what, own)
        .Select((names, rank) => (Text: Ranks.World == 1 ? names : $"rank {rank}: {names}", names.Length))
        .Where(r => r.Length > 0).Select(r => r.Text));

    private static string Names(IReadOnlyList<PreparedSample> batch) => Names([.. batch.Select(s => s.Name)]);

    private static string Names(IReadOnlyList<string> samples) =>
        string.Join(", ", samples.Take(8)) + (samples.Count > 8 ? $" and {samples.Count - 8} more" : "");
}
