using System.Diagnostics;
using LlavaSharp.Interop;

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

    /// <summary>Where updates are logged, averaged over logging_steps; null logs nowhere.</summary>
    public RunLog? Log { get; init; }

    /// <summary>How long the run is.</summary>
    public TrainingPlan Plan { get; } = TrainingPlan.Create(source.Count, options);

    /// <summary>What the options train: the projector alone in stage 1, else all but the vision tower.</summary>
    /// <param name="options">The options.</param>
    /// <returns>The mask.</returns>
    public static UnitKinds TrainedUnits(TrainOptions options) => options.TuneMmMlpAdapter
        ? UnitKinds.Projector
        : UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head | (options.FreezeMmMlpAdapter ? UnitKinds.None : UnitKinds.Projector);

    /// <summary>Trains.</summary>
    /// <param name="cancellation">Stops between micro-batches.</param>
    /// <returns>Every update.</returns>
    /// <exception cref="UserErrorException">A sample cannot be read, or the loss is no longer a number;
    /// nothing was updated by that batch.</exception>
    /// <exception cref="OperationCanceledException">Stopped; the model holds the updates done so far.</exception>
    public TrainingResult Run(CancellationToken cancellation = default)
    {
        var clock = Stopwatch.StartNew();
        var schedule = LearningRateSchedule.FromRatio(
            LearningRateSchedule.ParseKind(options.LrSchedulerType), options.WarmupRatio, Plan.TotalSteps);
        var groups = new ParameterGroups(model.Parameters, options);
        model.SetTrainable(Trained ?? TrainedUnits(options));
        using var trainer = new Trainer(
            model, new TrainerOptions { Beta1 = options.AdamBeta1, Beta2 = options.AdamBeta2, Epsilon = options.AdamEpsilon });
        trainer.SetGroups(groups.Assignment);
        using var batches = new MicroBatches(source, Plan, options, cancellation);
        var accumulator = new StepAccumulator(
            engine, trainer, batches, new BatchBuilder(model.Config.ImageRows, options.ModelMaxLength, PaddingId), Plan, Progress);
        var steps = new List<StepRecord>(Plan.TotalSteps);
        var window = new LogWindow(Log, options.LoggingSteps, Plan.TotalSteps);
        Progress.Begin(Name, Plan.TotalSteps);
        try
        {
            for (var step = 0; step < Plan.TotalSteps; step++)
            {
                var factor = schedule.Factor(step);
                var record = accumulator.Run(step, groups.At(factor), options.MaxGradNorm, options.LearningRate * factor, cancellation);
                steps.Add(record);
                window.Add(record);
                Progress.Step(record);
            }
        }
        finally
        {
            Progress.End();
        }

        return new(steps, clock.Elapsed.TotalSeconds);
    }
}
