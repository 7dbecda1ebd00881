using System.Globalization;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Training.Resume;
using LlavaSharp.Zero;

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
    public static TrainingResult Run(TrainOptions options, IProgressSink progress, CancellationToken cancellation = default) =>
        Run(options, progress, null, cancellation);

    /// <summary>Trains, maybe as one of several processes, and writes the result.</summary>
    /// <param name="options">What to do.</param>
    /// <param name="progress">Where progress goes.</param>
    /// <param name="failing">With several processes: told why the job ends, before this one ends all of them; gives the exit code.</param>
    /// <param name="cancellation">Stops between micro-batches; log and checkpoint are written then, no result.</param>
    /// <returns>Every update.</returns>
    /// <exception cref="UserErrorException">Something the user can put right; before training wherever it can be known.</exception>
    /// <exception cref="OperationCanceledException">Stopped.</exception>
    /// <exception cref="JobEndedException">The processes did not meet, or one was lost, or this one failed by itself; where processes are
    /// threads, or the carrier does not end this one.</exception>
    public static TrainingResult Run(
        TrainOptions options, IProgressSink progress, Func<string, JobFault, int>? failing, CancellationToken cancellation)
    {
        if (options.UseHabana)
        {
            throw new UserErrorException(GaudiDevice.Refusal());
        }

        using var ranks = Meet(options, failing);
        try
        {
            var place = options.Place with { LocalWorld = ranks.CountOnHost() };
            return Run(options with { Place = place }, ranks, ranks.IsFirst ? progress : NullProgress.Instance, cancellation);
        }
        catch (EngineException e) when (ranks.World > 1 && e.Status == EngineStatus.Comm)
        {
            throw Ended(ranks, failing, e.Message, JobFault.RankLost, e);
        }
        catch (Exception e) when (ranks.World > 1 && e is not (UserErrorException or OperationCanceledException))
        {
            // The others wait for this one: nothing can be said together any more.
            throw MachineFault.Line(e) is { } line
                ? Ended(ranks, failing, string.Create(CultureInfo.InvariantCulture, $"rank {ranks.Rank}: {line}"), JobFault.Machine, e)
                : Ended(ranks, failing, e.Message, JobFault.Internal, e);
        }
    }

    // Nothing can be said together before all have met: each process speaks for itself.
    private static Ranks Meet(TrainOptions options, Func<string, JobFault, int>? failing)
    {
        try
        {
            return Ranks.Meet(options.Place, TimeSpan.FromSeconds(options.DdpTimeout));
        }
        catch (Exception e) when (options.Place.World > 1 && e is UserErrorException or EngineException { Status: EngineStatus.Comm })
        {
            var code = failing?.Invoke(e.Message, e is UserErrorException ? JobFault.Machine : JobFault.RankLost) ?? 1;
            throw new JobEndedException(e.Message, e) { Code = code };
        }
    }

    private static JobEndedException Ended(
        Ranks ranks, Func<string, JobFault, int>? failing, string reason, JobFault fault, Exception cause)
    {
        var code = failing?.Invoke(reason, fault) ?? 1;
        ranks.Stop(code, reason);
        return new(reason, cause) { Code = code };
    }

    private static TrainingResult Run(TrainOptions options, Ranks ranks, IProgressSink progress, CancellationToken cancellation)
    {
        using var setup = ranks.Together("opening the run", () => TrainSetup.Open(options), cancellation);
        setup.Begin(ranks);
        setup.Begin(ranks);
        using var engine = new Engine(new EngineOptions { Threads = options.Threads });
        using var source = ranks.Together("opening the model", () => ModelSource.Open(setup.Parts), cancellation);
        ranks.Together("checking the model", () => source.CheckShapes(), cancellation);
        if (source.LacksProjector && !options.TuneMmMlpAdapter)
        {
            progress.Warn("the projector is fresh: stage 2 usually starts from stage 1's, given with --pretrain_mm_mlp_adapter");
        }

        // Its pages cost nothing until it is filled, which is once a trainer has divided it: what processes share, none ever holds whole.
        var others = engine.Memory().Resident;
        using var model = ModelLoader.MakeModel(engine, source.Config, options.Storage);
        AttachAdapters(setup, model);
        var trained = TrainingRun.TrainedUnits(setup.Options);
        var trainable = model.Parameters.Where(p => (p.Kind & trained) != 0).Sum(p => p.Count);
        model.SetTrainable(trained);
        return Train(setup, engine, model, source, others, ranks, trainable, progress, cancellation);
    }

    private static TrainingResult Train(
        TrainSetup setup, Engine engine, Model model, ModelSource source, long others, Ranks ranks, long trainable, IProgressSink progress,
        CancellationToken cancellation)
    {
        var (options, output) = (setup.Options, setup.Options.OutputDir!);
        var config = ResolvedConfig.ToJson(setup, trainable);
        var store = new CheckpointStore(output, options.SaveTotalLimit);
        var identity = new Lazy<RunIdentity>(() => RunIdentity.Of(setup, model));
        ranks.Together("beginning", () =>
        {
            if (ranks.IsFirst)
            {
                Begin(setup, engine, store, identity, progress);
                AtomicFile.WriteText(Path.Combine(output, ResolvedConfig.FileName), config);
            }
        }, cancellation);
        progress.Note(Announcement(setup, model, trainable, engine.Threads));
        var memory = MemoryChoice.Make(
            model.Config, options, TrainingRun.TrainedUnits(options), setup.Adapters, others, progress.Warn,
            ranks.World == 1 ? null : ZeroUnit.Of(model.Parameters));
        progress.Note(memory.ToString());
        var skipped = new SkippedSamples(output, setup.From is not null, progress, ranks.Rank);
        TrainingResult result;
        var written = "";
        try
        {
            using var log = ranks.IsFirst ? new RunLog(Path.Combine(output, "log.jsonl"), progress.Warn) : null;
            using var events = ranks.IsFirst ? new EventLog(output, Now() - (setup.From?.State.Seconds ?? 0), progress.Warn) : null;
            result = new TrainingRun(engine, model, setup.Source, options)
            {
                Name = ResultFiles.Name(options),
                PaddingId = setup.Tokenizer.UnknownId < 0 ? null : setup.Tokenizer.UnknownId,
                Progress = progress,
                Logs = log is null || events is null ? [] : [log, events],
                Skipped = skipped,
                From = setup.From,
                Memory = memory,
                Ranks = ranks,
                Fill = () => Fill(model, source, options.Seed, cancellation),
                Saver = new RunSaver(
                    store,
                    new SavePolicy(options, setup.Plan.TotalSteps),
                    identity,
                    config,
                    (folder, weights) => ResultFiles.WriteBeside(setup, model, weights, folder)),
                Finish = weights => written = ResultFiles.Write(setup, model, weights),
            }.Run(cancellation);
        }
        finally
        {
            WriteDown(skipped, progress);
        }

        if (ranks.IsFirst)
        {
            Conclude(setup, result, trainable, written, progress);
        }

        return result;
    }

    // A list that cannot be written must not hide how the run ended.
    private static void WriteDown(SkippedSamples skipped, IProgressSink progress)
    {
        try
        {
            skipped.Write();
        }
        catch (UserErrorException e)
        {
            progress.Warn(e.Message);
        }
    }

    // The files are let go of: their pages count as this process's for as long as they are mapped.
    private static void Fill(Model model, ModelSource source, long seed, CancellationToken cancellation)
    {
        ModelLoader.Fill(model, source, seed, cancellation);
        source.Dispose();
    }

    private static void Conclude(TrainSetup setup, TrainingResult result, long trainable, string written, IProgressSink progress)
    {
        var output = setup.Options.OutputDir!;
        if (result.Steps.Sum(s => s.RecipeMasked) is var masked and > 0)
        {
            progress.Note($"{masked} samples were trained that the recipe would have masked (\"tokenization mismatch\"); see docs/differences.md");
        }

        progress.Note(written);
        AtomicFile.WriteText(Path.Combine(output, TrainerState.FileName), TrainerState.ToJson(result, setup.Options));
        AtomicFile.WriteText(Path.Combine(output, "report.html"), Report(setup, result, trainable));
        progress.Note($"report: {Path.GetFullPath(Path.Combine(output, "report.html"))}");
    }

    private static void AttachAdapters(TrainSetup setup, Model model)
    {
        foreach (var module in setup.Adapters is null ? [] : LoraTargets.Find(setup.Config))
        {
            model.AttachLora(setup.Adapters!.ToEngine(setup.Options.Seed), module + ".weight");
        }
    }

    private static string Announcement(TrainSetup setup, Model model, long trainable, int threads) => string.Create(
        CultureInfo.InvariantCulture,
        $"{setup.Plan.SampleCount} samples, {setup.Plan.TotalSteps} updates of "
        + $"{setup.Plan.MicroBatchesPerStep * setup.Plan.BatchSize * setup.Plan.World}{Processes(setup.Options)}; "
        + $"{trainable:#,0} of {model.Parameters.Sum(p => p.Count):#,0} parameters are trained, in float32 on {threads} threads{Stored(setup.Options)}");

    private static string Stored(TrainOptions options) =>
        options.Storage == WeightStorage.Float32 ? "" : $"; weights are stored as {options.Storage}";

    private static string Processes(TrainOptions options) => options.Place.World == 1 ? "" : string.Create(
        CultureInfo.InvariantCulture, $" on {options.Place.World} processes by {options.Place.Carrier}, ZeRO stage {options.ZeroStage}");

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
