using System.Globalization;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Training.Resume;

namespace LlavaSharp.Training;

/// <summary>
/// <c>train</c> from options to files: checks, loads, trains, writes. Stage 1 leaves mm_projector.bin and config.json;
/// stage 2 a Hugging Face LLaVA folder. Both leave train_config.json, log.jsonl, trainer_state.json and report.html.
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
        using var setup = TrainSetup.Open(options);
        var output = options.OutputDir!;
        using var engine = new Engine(new EngineOptions { Threads = options.Threads });
        using var loaded = ModelLoader.Load(engine, setup.Parts);
        var model = loaded.Model;
        if (loaded.FreshProjector && !options.TuneMmMlpAdapter)
        {
            progress.Warn("the projector is fresh: stage 2 usually starts from stage 1's, given with --pretrain_mm_mlp_adapter");
        }

        var trained = TrainingRun.TrainedUnits(options);
        var trainable = model.Parameters.Where(p => (p.Kind & trained) != 0).Sum(p => p.Count);
        model.SetTrainable(trained);
        var config = ResolvedConfig.ToJson(setup, trainable);
        var store = new CheckpointStore(output, options.SaveTotalLimit);
        var identity = new Lazy<RunIdentity>(() => RunIdentity.Of(setup, model));
        Begin(setup, engine, store, identity, progress);
        AtomicFile.WriteText(Path.Combine(output, ResolvedConfig.FileName), config);
        progress.Note(string.Create(
            CultureInfo.InvariantCulture,
            $"{setup.Plan.SampleCount} samples, {setup.Plan.TotalSteps} updates of {setup.Plan.MicroBatchesPerStep * setup.Plan.BatchSize}; "
            + $"{trainable:#,0} of {model.Parameters.Sum(p => p.Count):#,0} parameters are trained, in float32 on {engine.Threads} threads"));
        var skipped = new SkippedSamples(output, setup.From is not null, progress);
        TrainingResult result;
        try
        {
            using (var log = new RunLog(Path.Combine(output, "log.jsonl")))
            {
                result = new TrainingRun(engine, model, setup.Source, options)
                {
                    Name = options.TuneMmMlpAdapter ? "stage 1" : "stage 2",
                    PaddingId = setup.Tokenizer.UnknownId < 0 ? null : setup.Tokenizer.UnknownId,
                    Progress = progress,
                    Log = log,
                    Skipped = skipped,
                    From = setup.From,
                    Saver = new RunSaver(
                        store,
                        new SavePolicy(options, setup.Plan.TotalSteps),
                        identity,
                        config,
                        folder => WriteStage(setup, model, folder)),
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

        WriteResult(setup, model, progress);
        AtomicFile.WriteText(Path.Combine(output, TrainerState.FileName), TrainerState.ToJson(result, options));
        AtomicFile.WriteText(Path.Combine(output, "report.html"), Report(setup, result, trainable));
        progress.Note($"report: {Path.GetFullPath(Path.Combine(output, "report.html"))}");
        return result;
    }

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

    // What the recipe's own checkpoints of stage 1 hold.
    private static void WriteStage(TrainSetup setup, Model model, string folder)
    {
        if (setup.Options.TuneMmMlpAdapter)
        {
            MmProjectorFile.Write(Path.Combine(folder, MmProjectorFile.FileName), setup.Config, new ModelParameterSource(model));
            AtomicFile.WriteText(Path.Combine(folder, "config.json"), StageOneFiles.ConfigJson(setup));
        }
    }

    private static void WriteResult(TrainSetup setup, Model model, IProgressSink progress)
    {
        var output = setup.Options.OutputDir!;
        if (setup.Options.TuneMmMlpAdapter)
        {
            var path = StageOneFiles.ProjectorPath(output);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            MmProjectorFile.Write(path, setup.Config, new ModelParameterSource(model));
            MmProjectorFile.Write(Path.ChangeExtension(path, ".safetensors"), setup.Config, new ModelParameterSource(model));
            AtomicFile.WriteText(Path.Combine(output, "config.json"), StageOneFiles.ConfigJson(setup));
            progress.Note($"projector: {Path.GetFullPath(path)}");
        }
        else
        {
            HuggingFaceLlavaWriter.Write(output, new()
            {
                Config = setup.Config,
                Parameters = new ModelParameterSource(model),
                Tokenizer = setup.Tokenizer,
                Processor = setup.Processor,
                ModelMaxLength = setup.Options.ModelMaxLength,
            });
            progress.Note($"checkpoint: {Path.GetFullPath(output)}");
        }
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
            setup.Options.TuneMmMlpAdapter ? "Stage 1: feature alignment" : "Stage 2: visual instruction tuning", result, facts);
    }
}
