using System.Diagnostics;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Training.Resume;
using LlavaSharp.Zero;

namespace LlavaSharp.Training;

/// <summary>
/// The loop: micro-batches, accumulation, updates. Used by <c>train</c> and by the demo. The loss and its gradient are the
/// recipe's: a token mean within each micro-batch, then a mean over the micro-batches of an update.
/// </summary>
/// <param name="engine">The engine, for its memory figures.</param>
/// <param name="model">What is trained, in place.</param>
/// <param name="source">What it is trained on.</param>
/// <param name="options">Batch, rates, schedule, seed, length; paths and names are not read here.</param>
public sealed class TrainingRun(Engine engine, Model model, ITrainingSource source, TrainOptions options)
{
    /// <summary>What the progress line calls the run.</summary>
    public string Name { get; init; } = "training";

    /// <summary>What is trained; null follows the options (see <see cref="TrainedUnits"/>).</summary>
    public UnitKinds? Trained { get; init; }

    /// <summary>Tokens with this id vanish, as under the recipe's attention mask; null keeps all.</summary>
    public int? PaddingId { get; init; }

    /// <summary>Where progress goes.</summary>
    public IProgressSink Progress { get; init; } = NullProgress.Instance;

    /// <summary>Where updates are logged, averaged over logging_steps.</summary>
    public IReadOnlyList<IRunLog> Logs { get; init; } = [];

    /// <summary>Writes checkpoints; null writes none.</summary>
    public RunSaver? Saver { get; init; }

    /// <summary>Where the run goes on from; null begins anew.</summary>
    public ResumeFrom? From { get; init; }

    /// <summary>How a step fits into memory; null keeps everything.</summary>
    internal MemoryChoice? Memory { get; init; }

    /// <summary>Fills the model, once it is known which part of it this process keeps; null when it is filled.</summary>
    internal Action? Fill { get; init; }

    /// <summary>The processes that train together.</summary>
    public Ranks Ranks { get; init; } = Ranks.Single;

    /// <summary>Writes the result from the trained weights, once all updates are done; null writes none.</summary>
    public Action<IParameterSource>? Finish { get; init; }

    /// <summary>Takes samples down that are left out; null when nothing is.</summary>
    internal SkippedSamples? Skipped { get; init; }

    /// <summary>How long the run is.</summary>
    public TrainingPlan Plan { get; } = TrainingPlan.Create(EpochOrder.Length(source, options), options);

    /// <summary>What the options train: in stage 1 the projector, and with tokens around images the embedding; else the projector and, of
    /// the language model, adapters, the output projection, or all.</summary>
    /// <param name="options">The options.</param>
    /// <returns>The mask.</returns>
    /// <exception cref="UserErrorException">Everything is frozen.</exception>
    public static UnitKinds TrainedUnits(TrainOptions options)
    {
        if (options.TuneMmMlpAdapter)
        {
            if (options.UnfreezeMmVisionTower)
            {
                throw new UserErrorException("--tune_mm_mlp_adapter and --unfreeze_mm_vision_tower together: stage 1 keeps the projector alone, and "
                    + "the tower would be lost; give one");
            }

            return options.FreezeMmMlpAdapter
                ? throw new UserErrorException("--tune_mm_mlp_adapter and --freeze_mm_mlp_adapter together leave nothing to train; give one")
                : UnitKinds.Projector | (options.MmUseImStartEnd == true ? UnitKinds.Embed : UnitKinds.None);
        }

        var language = options.LoraEnable ? UnitKinds.Lora
            : options.FreezeBackbone ? UnitKinds.Head
            : UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head;
        // image_newline is no part of the projector: stage 1 leaves it, all else trains it.
        language |= options.ImageAspectRatio == "anyres" ? UnitKinds.Newline : UnitKinds.None;
        language |= options.UnfreezeMmVisionTower ? UnitKinds.Vision : UnitKinds.None;
        return options.FreezeMmMlpAdapter ? language : language | UnitKinds.Projector;
    }

    private TrainerOptions TrainerOptions() => new()
    {
        Beta1 = options.AdamBeta1,
        Beta2 = options.AdamBeta2,
        Epsilon = options.AdamEpsilon,
        RecomputeLayers = Memory?.RecomputeLayers ?? 0,
        TokensAtOnce = Memory?.TokensAtOnce ?? 0,
        OffloadFolder = options.OffloadFolder,
        OffloadOptimizer = options.OffloadOptimizer,
        OffloadWeights = options.OffloadWeights,
    };

    /// <summary>Trains.</summary>
    /// <param name="cancellation">Stops between micro-batches.</param>
    /// <returns>Every update, those before a resumed checkpoint included.</returns>
    /// <exception cref="UserErrorException">A sample cannot be read, the loss is no longer a number, or the machine has no more memory;
    /// nothing was updated by that batch, and the whole updates before it are in a checkpoint. Where that cannot be written, or memory ran
    /// out in the middle of an update, the last checkpoint stands, and a warning names it. Or no update had anything to learn: neither
    /// result nor checkpoint is written.</exception>
    /// <exception cref="OperationCanceledException">Stopped; the model holds the updates done so far, and so does a
    /// checkpoint.</exception>
    public TrainingResult Run(CancellationToken cancellation = default)
    {
        var clock = Stopwatch.StartNew();
        var schedule = LearningRateSchedule.Of(options, Plan.TotalSteps);
        var groups = new ParameterGroups(model.Parameters, options);
        model.SetTrainable(Trained ?? TrainedUnits(options));
        using var trainer = MakeTrainer();
        var sharding = new Sharding(Ranks, Ranks.World == 1 ? 0 : options.ZeroStage);
        trainer.SetGroups(groups.Assignment);
        Ranks.Together("loading the model", () => Fill?.Invoke(), cancellation);
        var window = new LogWindow(Logs, options.LoggingSteps, Plan.TotalSteps);
        var steps = Ranks.Together("restoring", () => Restore(trainer, sharding, window), cancellation);
        var done = From?.MicroBatches(options) ?? 0;
        using var batches = new MicroBatches(source, Plan, options, done, cancellation);
        var accumulator = Accumulator(trainer, batches, done);
        var divergence = new Divergence(options.OnNan == "skip");
        Progress.Begin(Name, Plan.TotalSteps);
        using var graceful = GracefulStop.Begin();
        try
        {
            while (steps.Count < Plan.TotalSteps)
            {
                var factor = schedule.Factor(steps.Count);
                var run = accumulator.Run(steps.Count, groups.At(factor), options.MaxGradNorm, options.LearningRate * factor, cancellation);
                var record = run with { PeakFlops = options.PeakTflops * 1e12 };
                steps.Add(record);
                window.Add(record);
                Progress.Step(record);
                divergence.Check(steps);
                if (Saver?.IsDue(steps) == true)
                {
                    Save();
                }
            }

            WarnOf(divergence.CheckEnd(steps));
        }
        catch (Exception e) when (e is OperationCanceledException or UserErrorException)
        {
            Preserve(steps.Count, e is OperationCanceledException, divergence.IsFound ? null : SaveWhole);
            throw;
        }
        catch (Exception e) when (Ranks.World == 1 && MachineFault.Line(e) is { } line)
        {
            Preserve(steps.Count, wasAsked: false, SaveWhole);
            throw new UserErrorException($"update {steps.Count + 1}: {line}", e);
        }
        finally
        {
            Progress.End();
        }

        CheckLearned(steps);
        WriteResult(new SharedWeights(model, trainer, sharding));
        return new(steps, Seconds());

        double Seconds() => (From?.State.Seconds ?? 0) + clock.Elapsed.TotalSeconds;

        // What was accumulated towards the next update is dropped: the state is that of the last whole one.
        string? SaveWhole() => accumulator.IsUpdating ? null : Save();

        // Before anything is learned there is nothing to keep: a checkpoint would hold the weights that the run began with.
        string? Save() => !HasLearned(steps) ? null : Saver?.Save(
            model, trainer, sharding, steps,
            identity => StateOf(steps.Count, accumulator.MicroBatches, trainer, Seconds(), schedule, identity));
    }

    // Says what the same command goes on from: a checkpoint of the last whole update, or the one before. Who asked for a checkpoint is
    // told by an error that there is none; otherwise the first error is the one to report. Nothing is saved of a model that is lost.
    private void Preserve(int done, bool wasAsked, Func<string?>? save)
    {
        if (save is null)
        {
            return;
        }

        string? saved = null;
        try
        {
            saved = save();
        }
        catch (Exception e) when (!wasAsked && (e is UserErrorException || (Ranks.World == 1 && MachineFault.Line(e) is not null)))
        {
            Progress.Warn($"no checkpoint of update {done} could be written: {e.Message}");
        }

        if ((saved ?? Saver?.Newest()) is { } folder)
        {
            Progress.Warn($"stopped after update {done}; the same command goes on from {folder}");
        }
    }

    private StepAccumulator Accumulator(Trainer trainer, MicroBatches batches, long done) => new(
        engine, trainer, batches, new BatchBuilder(model.Config.ImageRows, options.ModelMaxLength, PaddingId), Plan, Progress,
        new ModelFlops(model.Config, Trained ?? TrainedUnits(options)), done)
    {
        Skipped = Skipped,
        ByTokens = options.LossNormalization == "tokens",
        SkipsNaN = options.OnNan == "skip",
        Ranks = Ranks,
    };

    private void WarnOf(string? line)
    {
        if (line is not null)
        {
            Progress.Warn(line);
        }
    }

    private void WriteResult(SharedWeights weights)
    {
        if (Finish is { } finish)
        {
            weights.Write(finish);
        }
    }

    private static bool HasLearned(List<StepRecord> steps) => steps.Exists(s => double.IsFinite(s.Loss));

    private void CheckLearned(List<StepRecord> steps)
    {
        if (HasLearned(steps))
        {
            return;
        }

        var why = steps.Exists(s => s.SupervisedTokens > 0)
            ? "no loss was a number; lower --learning_rate, or look at the data"
            : steps.Exists(s => s.SkippedSamples > 0)
                ? $"samples were left out, which {SkippedSamples.FileName} lists; correct them (check-data names them, too)"
            : $"every answer lies past --model_max_length {options.ModelMaxLength}; raise it";
        throw new UserErrorException($"nothing was learned in {steps.Count} updates, so no result is written: {why}");
    }

    private RunState StateOf(
        int step, long microBatches, Trainer trainer, double seconds, LearningRateSchedule schedule, RunIdentity identity) => new()
        {
            World = Ranks.World,
            Step = step,
            TotalSteps = Plan.TotalSteps,
            MicroBatches = microBatches,
            OptimizerSteps = trainer.StepCount,
            Seconds = seconds,
            Threads = engine.Threads,
            Seed = options.Seed,
            Schedule = schedule,
            Identity = identity,
        };

    private Trainer MakeTrainer()
    {
        var zero = options.Fault with
        {
            Stage = options.ZeroStage,
            Accumulation = Plan.MicroBatchesPerStep,
            ReduceBucket = options.ZeroBucket,
        };
        var lengths = string.Join(',', Enumerable.Range(0, source.Count).Select(source.ModalityLength));
        return ZeroTrainer.Make(model, TrainerOptions(), Ranks, options.Division, zero, [
            ("the data", $"{source.Count} {lengths}"),
            ("the flags", string.Join('\n', ResolvedConfig.Flags(options).Where(f => f.Name is not "threads").Select(f => $"{f.Name}={f.Value}"))),
            ("the checkpoint to go on from", $"{From?.Name} {From?.State}"),
        ]);
    }

    private List<StepRecord> Restore(Trainer trainer, Sharding sharding, LogWindow window)
    {
        var steps = new List<StepRecord>(Plan.TotalSteps);
        if (From is { } from)
        {
            RunCheckpoint.Restore(from.Folder, model, trainer, from.State.OptimizerSteps, sharding);
            steps.AddRange(RunHistory.Read(from.Folder, Plan.TotalSteps));
            steps.ForEach(window.Add);
            Saver?.AlreadySaved(steps.Count);
        }

        return steps;
    }
}
