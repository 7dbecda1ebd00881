using System.Globalization;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Training.Resume;

namespace LlavaSharp.Training;

/// <summary>
/// <c>train</c> from options to files: checks, loads, trains, writes what <see cref="ResultFiles"/> says. Every run also leaves
/// train_config.json, log.jsonl, TensorBoard events, trainer_state.json and report.html.
/// </summary>
public static class FineTune
{
    /// <summary>Trains and writes the result.</summary>
    /// <param name="options">What to do.</param>
    /// <param name="progress">Where progress goes.</param>
    /// <param name="cancellation">Stops between micro-batches; log and checkpoint are written then, no result.</param>
    /// <returns>Every update.</returns>
    /// <exception cref="UserErrorException">Something the user can put right; before training wherever it can be known.</exception>
    /// <exception cref="OperationCanceledException">Stopped.</exception>
    public static TrainingResult Run(TrainOptions options, IProgressSink progress, CancellationToken cancellation = default)
    {
        if (options.UseHabana)
        {
            throw new UserErrorException(GaudiDevice.Refusal());
        }

        using var setup = TrainSetup.Open(options);
        var output = options.OutputDir!;
        using var engine = new Engine(new EngineOptions { Threads = options.Threads });
        using var loaded = ModelLoader.Load(engine, setup.Parts);
        var model = loaded.Model;
        if (loaded.FreshProjector && !options.TuneMmMlpAdapter)
        {
            progress.Warn("the projector is fresh: stage 2 usually starts from stage 1's, given with --pretrain_mm_mlp_adapter");
        }

        AttachAdapters(setup, model);
        var trained = TrainingRun.TrainedUnits(options);
        var trainable = model.Parameters.Where(p => (p.Kind & trained) != 0).Sum(p => p.Count);
        model.SetTrainable(trained);
        var config = ResolvedConfig.ToJson(setup, trainable);
        var store = new CheckpointStore(output, options.SaveTotalLimit);
        var identity = new Lazy<RunIdentity>(() => RunIdentity.Of(setup, model));
        Begin(setup, engine, store, identity, progress);
        AtomicFile.WriteText(Path.Combine(output, ResolvedConfig.FileName), config);
        progress.Note(Announcement(setup, model, trainable, engine.Threads));
        var memory = ChooseMemory(setup, engine, model, trained, progress);
        var skipped = new SkippedSamples(output, setup.From is not null, progress);
        TrainingResult result;
        try
        {
            using (var log = new RunLog(Path.Combine(output, "log.jsonl")))
            using (var events = new EventLog(output, Now() - (setup.From?.State.Seconds ?? 0)))
            {
                result = new TrainingRun(engine, model, setup.Source, options)
                {
                    Name = ResultFiles.Name(options),
                    PaddingId = setup.Tokenizer.UnknownId < 0 ? null : setup.Tokenizer.UnknownId,
                    Progress = progress,
                    Logs = [log, events],
                    Skipped = skipped,
                    From = setup.From,
                    Memory = memory,
                    Saver = new RunSaver(
                        store,
                        new SavePolicy(options, setup.Plan.TotalSteps),
                        identity,
                        config,
                        folder => ResultFiles.WriteBeside(setup, model, folder)),
                }.Run(cancellation);
            }
        }
        finally
        {
            skipped.Write();
        }

        if (result.Steps.Sum(s => s.RecipeMasked) is var masked and > 0)
        {
            progress.Note($"{masked} samples were trained that the recipe would have masked (\"tokenization mismatch\"); see docs/differences.md");
        }

        progress.Note(ResultFiles.Write(setup, model));
        AtomicFile.WriteText(Path.Combine(output, TrainerState.FileName), TrainerState.ToJson(result, options));
        AtomicFile.WriteText(Path.Combine(output, "report.html"), Report(setup, result, trainable));
        progress.Note($"report: {Path.GetFullPath(Path.Combine(output, "report.html"))}");
        return result;
    }

    private static void AttachAdapters(TrainSetup setup, Model model)
    {
        foreach (var module in setup.Adapters is null ? [] : LoraTargets.Find(setup.Config))
        {
            model.AttachLora(setup.Adapters!.ToEngine(setup.Options.Seed), module + ".weight");
        }
    }

    private static MemoryChoice ChooseMemory(TrainSetup setup, Engine engine, Model model, UnitKinds trained, IProgressSink progress)
    {
        var held = engine.Memory();
        var others = held.Resident - held.Parameters - held.Workspace;
        var memory = MemoryChoice.Make(model.Config, setup.Options, trained, setup.Adapters?.Rank ?? 0, others, progress.Warn);
        progress.Note(memory.ToString());
        return memory;
    }

    private static string Announcement(TrainSetup setup, Model model, long trainable, int threads) => string.Create(
        CultureInfo.InvariantCulture,
        $"{setup.Plan.SampleCount} samples, {setup.Plan.TotalSteps} updates of {setup.Plan.MicroBatchesPerStep * setup.Plan.BatchSize}; "
        + $"{trainable:#,0} of {model.Parameters.Sum(p => p.Count):#,0} parameters are trained, in float32 on {threads} threads");

    private static double Now() => TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0;

    // The last checks, which need the model; only then is anything of an earlier run touched.
    private static void Begin(TrainSetup setup, Engine engine, CheckpointStore store, Lazy<RunIdentity> identity, IProgressSink progress)
    {
        if (setup.From is { } from)
        {
            from.CheckFlags(setup.Options, progress.Warn);
            identity.Value.Check(from.State.Identity, from.Name, progress.Warn);
            if (from.State.Threads != engine.Threads)
            {
                progress.Warn($"{from.Name} was made with {from.State.Threads} threads, this run has {engine.Threads}: sums may differ in their last digits");
            }

            foreach (var (folder, damage) in from.Damaged)
            {
                progress.Warn($"{Path.GetFileName(folder)} is damaged: {damage}; it is now {store.SetAside(folder)}");
            }

            progress.Note($"going on from {from.Folder}, update {from.State.Step}");
        }
        else
        {
            store.RemoveAll();
        }

        store.RemoveLeftovers();
    }

    private static string Report(TrainSetup setup, TrainingResult result, long trainable)
    {
        var version = EngineVersion.Read();
        var facts = ResolvedConfig.Flags(setup.Options)
            .Where(f => f.Value is not null)
            .Select(f => (f.Name, Convert.ToString(f.Value, CultureInfo.InvariantCulture)!))
            .Append(("trained parameters", trainable.ToString("#,0", CultureInfo.InvariantCulture)))
            .Append(("engine", $"LlavaSharp {version.Engine}, libtorch {version.Libtorch}, {version.Backend}"));
        return TrainingReport.Build(
            setup.Options.TuneMmMlpAdapter ? "Stage 1: feature alignment"
                : setup.Adapters is null ? "Stage 2: visual instruction tuning" : "Stage 2: visual instruction tuning with LoRA",
            result, facts);
    }
}
