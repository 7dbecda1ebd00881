using System.Globalization;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

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
    /// <param name="cancellation">Stops between micro-batches; nothing but the log is written then.</param>
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
        AtomicFile.WriteText(Path.Combine(output, ResolvedConfig.FileName), ResolvedConfig.ToJson(setup, trainable));
        progress.Note(string.Create(
            CultureInfo.InvariantCulture,
            $"{setup.Plan.SampleCount} samples, {setup.Plan.TotalSteps} updates of {setup.Plan.MicroBatchesPerStep * setup.Plan.BatchSize}; "
            + $"{trainable:#,0} of {model.Parameters.Sum(p => p.Count):#,0} parameters are trained, in float32 on {engine.Threads} threads"));
        TrainingResult result;
        using (var log = new RunLog(Path.Combine(output, "log.jsonl")))
        {
            result = new TrainingRun(engine, model, setup.Source, options)
            {
                Name = options.TuneMmMlpAdapter ? "stage 1" : "stage 2",
                PaddingId = setup.Tokenizer.UnknownId,
                Progress = progress,
                Log = log,
            }.Run(cancellation);
        }

        WriteResult(setup, model, progress);
        AtomicFile.WriteText(Path.Combine(output, TrainerState.FileName), TrainerState.ToJson(result, options));
        AtomicFile.WriteText(Path.Combine(output, "report.html"), Report(setup, result, trainable));
        progress.Note($"report: {Path.GetFullPath(Path.Combine(output, "report.html"))}");
        return result;
    }

    private static void WriteResult(TrainSetup setup, Model model, IProgressSink progress)
    {
        var output = setup.Options.OutputDir!;
        if (setup.Options.TuneMmMlpAdapter)
        {
            var path = StageOneFiles.ProjectorPath(output);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            MmProjectorFile.Write(path, setup.Config, new ModelParameterSource(model));
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
