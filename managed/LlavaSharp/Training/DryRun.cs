using System.Globalization;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Zero;

namespace LlavaSharp.Training;

/// <summary>
/// <c>--dry_run</c>: everything that could stop a run is checked (flags, files, shapes of every tensor, samples, pictures, memory),
/// nothing is loaded into an engine, nothing is written, and the plan comes out as lines.
/// </summary>
public static class DryRun
{
    private const int SamplesRead = 16;

    // Runtime, libtorch and tokenizer, before anything of a run is there.
    private const long ProcessBytes = 160L << 20;

    /// <summary>Checks a run.</summary>
    /// <param name="options">The run.</param>
    /// <param name="warn">Receives what would not stop this dry run but is worth a look.</param>
    /// <returns>The plan: what, and how.</returns>
    /// <exception cref="UserErrorException">The run would not start, or would stop on its way.</exception>
    public static IReadOnlyList<(string What, string How)> Check(TrainOptions options, Action<string> warn)
    {
        if (options.UseHabana)
        {
            warn(GaudiDevice.Refusal());
        }

        using var setup = TrainSetup.Open(options with { DryRun = true });
        options = setup.Options;
        setup.Begin(Ranks.Single);
        var fresh = CheckShapes(setup);
        var (withImage, left) = CheckSamples(setup);
        var trained = TrainingRun.TrainedUnits(options);
        var all = Count(setup, _ => true);
        var moving = Count(setup, kind => trained.HasFlag(kind)) + Adapters(setup);
        var memory = MemoryChoice.Make(
            options.Storage.Apply(ModelLoader.ToModelConfig(setup.Config)), options, trained, setup.Adapters, ProcessBytes, warn,
            options.Place.World == 1 ? null : ZeroUnit.Of(setup.Config, trained, setup.Adapters));
        var (plan, schedule) = (setup.Plan, LearningRateSchedule.Of(options, setup.Plan.TotalSteps));
        var text = setup.Config.Text;
        return
        [
            ("model", Line($"{setup.ModelFolder}: {text.ModelType}, {text.LayerCount} layers of {text.HiddenSize}, vocabulary {text.VocabularySize}")),
            ("tower", Line($"{setup.Parts.ClipFolder ?? setup.ModelFolder}: {setup.Config.ImageRowCount} rows {(setup.Config.IsAnyResolution ? "a tile" : "an image")}, layer {setup.Config.FeatureLayer}")),
            ("projector", $"{setup.Config.Projector.Name}, {(fresh ? "fresh" : $"from {options.PretrainMmMlpAdapter ?? setup.ModelFolder}")}"),
            ("trained", Line($"{moving:#,0} of {all + Adapters(setup):#,0} parameters: {Names(setup, trained)}")),
            ("weights", options.Storage.ToString()),
            ("data", Line($"{options.DataPath}: {plan.SampleCount:#,0} samples, {withImage:#,0} with pictures, all of which are there; template {setup.Template.Name}{(left == 0 ? "" : Line($"; {left:#,0} others are left out, which check-data names"))}")),
            ("updates", Line($"{plan.TotalSteps} of {plan.BatchSize} × {plan.MicroBatchesPerStep} samples, {plan.EpochAfter((long)plan.TotalSteps * plan.MicroBatchesPerStep):0.###} passes over the data")),
            ("rate", Line($"{options.LearningRate}{(options.MmProjectorLr is { } own ? $", projector {own}" : "")}, {options.LrSchedulerType}, rising for {schedule.WarmupSteps} updates")),
            ("clipping", options.MaxGradNorm > 0 ? Line($"at a global norm of {options.MaxGradNorm}") : "none"),
            ("memory", $"{memory.ToString()["memory: ".Length..]}: {Parts(memory.Plan)}"),
            ("checkpoints", Checkpoints(options, plan, 12 * moving)),
            ("begins", setup.From is { } from ? $"after update {from.State.Step}, from {from.Folder}" : "anew"),
            ("output", Path.GetFullPath(options.OutputDir!)),
        ];
    }

    private static bool CheckShapes(TrainSetup setup)
    {
        using var source = ModelSource.Open(setup.Parts);
        source.CheckShapes(values: true);
        return source.LacksProjector;
    }

    private static (int WithImage, int Left) CheckSamples(TrainSetup setup)
    {
        var (count, pictures, left) = (setup.Source.Count, 0, 0);
        for (var i = 0; i < count; i++)
        {
            var images = setup.Source.FindImages(i);
            pictures += images > 0 ? 1 : 0;
            left += images is null ? 1 : 0;
        }

        if (left == count)
        {
            throw new UserErrorException($"--data_path {setup.Options.DataPath}: --on_bad_sample skip would leave out all {count} samples, so nothing "
                + "would be learned; check-data says what is wrong with each");
        }

        foreach (var i in Enumerable.Range(0, Math.Min(SamplesRead, count)).Select(k => (int)((long)k * count / SamplesRead)).Distinct())
        {
            setup.Source.Load(Math.Min(i, count - 1));
        }

        return (pictures, left);
    }

    private static long Count(TrainSetup setup, Func<UnitKinds, bool> of) => ParameterTable.Shapes(setup.Config)
        .Where(p => of(ModelSource.KindOf(p.Key))).Sum(p => p.Value.Aggregate(1L, (a, b) => a * b));

    private static long Adapters(TrainSetup setup) => setup.Adapters is not { } adapters ? 0
        : LoraTargets.Parameters(setup.Config, adapters).Sum(p => p.Value.Aggregate(1L, (a, b) => a * b));

    private static string Parts(MemoryPlan plan) =>
        $"parameters {MemoryChoice.Bytes(plan.Parameters)}, gradients and moments {MemoryChoice.Bytes(plan.Gradients + plan.Optimizer)}, "
        + $"activations {MemoryChoice.Bytes(plan.Workspace)}, the process and pictures the rest";

    private static string Checkpoints(TrainOptions options, TrainingPlan plan, long bytes)
    {
        var policy = new Resume.SavePolicy(options, plan.TotalSteps);
        double Epoch(int step) => plan.EpochAfter((long)step * plan.MicroBatchesPerStep);
        var due = Enumerable.Range(1, plan.TotalSteps).Count(step => policy.IsDue(step, Epoch(step - 1), Epoch(step)));
        return due == 0 ? "none on the way" : $"{due} of {Gigabytes(bytes)}, {(options.SaveTotalLimit is { } kept ? $"at most {kept}" : "all")} kept";
    }

    private static string Names(TrainSetup setup, UnitKinds trained) => string.Join(", ", Enum.GetValues<UnitKinds>()
        .Where(k => k != UnitKinds.None && trained.HasFlag(k) && (k != UnitKinds.Newline || setup.Config.HasNewline))
        .Select(k => k.ToString().ToLowerInvariant()));

    private static string Gigabytes(long bytes) => bytes < 1_000_000_000
        ? Line($"{bytes / 1e6:0.0} MB")
        : Line($"{bytes / 1e9:0.0} GB");

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
