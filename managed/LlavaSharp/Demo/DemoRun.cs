using System.Diagnostics;
using System.Globalization;
using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Tokenization;
using LlavaSharp.Training;

namespace LlavaSharp.Demo;

/// <summary>
/// The whole recipe in minutes, from nothing: data, tokenizer and tiny models are made, both stages run through the same
/// <see cref="FineTune"/> as <c>train</c>, and held-out pictures are asked about before, between and after.
/// </summary>
public sealed class DemoRun
{
    private const int ModelMaxLength = 512;
    private const int LoaderWorkers = 2;

    private readonly DemoOptions _options;
    private readonly DemoPaths _paths;
    private readonly IProgressSink _progress;
    private readonly CancellationToken _cancellation;
    private readonly List<(string Part, double Seconds)> _seconds = [];

    private DemoRun(DemoOptions options, IProgressSink progress, CancellationToken cancellation)
    {
        (_options, _progress, _cancellation) = (options, progress, cancellation);
        _paths = new DemoPaths(Path.GetFullPath(options.Out));
    }

    /// <summary>Runs the demo and writes report.json and report.html.</summary>
    /// <param name="options">What to do.</param>
    /// <param name="progress">Where progress goes.</param>
    /// <param name="cancellation">Stops between micro-batches.</param>
    /// <returns>What was found.</returns>
    /// <exception cref="UserErrorException">The output folder is not empty or cannot be written.</exception>
    /// <exception cref="OperationCanceledException">Stopped.</exception>
    public static DemoResult Execute(DemoOptions options, IProgressSink progress, CancellationToken cancellation = default)
    {
        string marker = new DemoPaths(Path.GetFullPath(options.Out)).Marker;
        OutputFolder.Prepare(options.Out, options.Overwrite || File.Exists(marker), "--out", "--overwrite");
        AtomicFile.WriteText(marker, "made by llavasharp demo\n");
        return new DemoRun(options, progress, cancellation).Run();
    }

    private DemoResult Run()
    {
        DemoBudget budget = _options.Budget;
        _progress.Note($"demo: seed {_options.Seed}, everything below {_paths.Out}");
        DemoDataset data = Timed("data", () => DemoDataset.Write(_paths.Data, _options.Seed, budget));
        LlavaTokenizer tokenizer = Timed("tokenizer", () => LlavaTokenizer.FromBytes(DemoTokenizer.Train(data), legacy: false));
        using Engine engine = new(new EngineOptions { Threads = _options.Threads });
        TrainingResult warmUp = Timed("warm-up", () => WarmUp(engine, tokenizer));
        DemoEvaluator evaluator = new(data, tokenizer, new ImageProcessor(ImageProcessorConfig.Load(_paths.Clip)));

        // The same seed draws the same fresh projector here and in stage 1: this is where stage 1 starts.
        ModelParts parts = new() { LanguageFolder = _paths.Llama, ClipFolder = _paths.Clip, Seed = _options.Seed };
        (DemoScore initial, double before, _) = Timed("evaluation before", () => Evaluate(engine, evaluator, parts));
        TrainingResult stage1 = Timed("stage 1", () => FineTune.Run(Stage1(data), _progress, _cancellation));
        (DemoScore aligned, double after, double afterSwapped) = Timed(
            "evaluation after stage 1", () => Evaluate(engine, evaluator, parts with { ProjectorFile = _paths.Projector }));
        TrainingResult stage2 = Timed("stage 2", () => FineTune.Run(Stage2(data), _progress, _cancellation));
        ((DemoScore Score, List<List<string>> Answers) final, DemoScore swapped) = Timed("evaluation after stage 2", () =>
        {
            using LoadedModel loaded = ModelLoader.Load(engine, _paths.Stage2);
            return (evaluator.Ask(loaded.Model, swapped: false), evaluator.Ask(loaded.Model, swapped: true).Score);
        });

        DemoResult result = new()
        {
            Seed = _options.Seed,
            Initial = initial,
            Stage1 = aligned,
            Stage2 = final.Score,
            Swapped = swapped,
            Majority = evaluator.Majority(),
            CaptionLossBefore = before,
            CaptionLossStage1 = after,
            CaptionLossSwapped = afterSwapped,
            Losses = new Dictionary<string, IReadOnlyList<double>>
            {
                ["warm_up"] = warmUp.Losses,
                ["stage1"] = stage1.Losses,
                ["stage2"] = stage2.Losses,
            },
            Seconds = _seconds,
            PeakRssMib = engine.Memory().ResidentPeak / 1048576.0,
            Answers = final.Answers,
            Paths = _paths,
        };
        AtomicFile.WriteText(_paths.ReportJson, DemoReport.ToJson(result));
        AtomicFile.WriteText(_paths.ReportHtml, DemoReport.ToHtml(result, data));
        return result;
    }

    // The tower is only written: it stays random. The language model learns to read before it is written.
    private TrainingResult WarmUp(Engine engine, LlavaTokenizer tokenizer)
    {
        DemoBudget budget = _options.Budget;
        DemoModel.WriteClip(engine, _paths.Clip, _options.Seed);
        TextConfig text = DemoModel.Text(tokenizer.PieceCount);
        using Model model = new(engine, DemoModel.LanguageModel(text));
        DemoModel.InitialiseLanguageModel(model, _options.Seed);
        TrainOptions options = new()
        {
            MaxSteps = budget.WarmUpSteps,
            PerDeviceTrainBatchSize = budget.WarmUpBatch,
            LearningRate = budget.WarmUpLearningRate,
            WarmupRatio = 0.03,
            ModelMaxLength = ModelMaxLength,
            Seed = _options.Seed,
            DataloaderNumWorkers = LoaderWorkers,
        };
        WarmUpText source = new(tokenizer, _options.Seed, budget.WarmUpSteps * budget.WarmUpBatch);
        TrainingResult result = new TrainingRun(engine, model, source, options)
        {
            Name = "warm-up",
            Trained = UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head,
            Progress = _progress,
        }.Run(_cancellation);
        DemoModel.WriteLlama(model, text, tokenizer.ModelBytes, _paths.Llama);
        return result;
    }

    private TrainOptions Stage1(DemoDataset data) => Common() with
    {
        Version = "plain",
        TuneMmMlpAdapter = true,
        DataPath = data.CaptionsPath,
        ImageFolder = data.ImageFolder,
        ImageAspectRatio = "square",
        OutputDir = _paths.Stage1,
        MaxSteps = _options.Budget.Stage1Steps,
        PerDeviceTrainBatchSize = _options.Budget.Stage1Batch,
        LearningRate = _options.Budget.Stage1LearningRate,
    };

    private TrainOptions Stage2(DemoDataset data) => Common() with
    {
        Version = "v1",
        PretrainMmMlpAdapter = _paths.Projector,
        DataPath = data.ConversationsPath,
        ImageFolder = data.ImageFolder,
        ImageAspectRatio = "pad",
        GroupByModalityLength = true,
        Sampler = "recipe",
        OutputDir = _paths.Stage2,
        MaxSteps = _options.Budget.Stage2Steps,
        PerDeviceTrainBatchSize = _options.Budget.Stage2Batch,
        LearningRate = _options.Budget.Stage2LearningRate,
    };

    private TrainOptions Common() => new()
    {
        ModelNameOrPath = _paths.Llama,
        VisionTower = _paths.Clip,
        WarmupRatio = 0.03,
        ModelMaxLength = ModelMaxLength,
        Seed = _options.Seed,
        OverwriteOutputDir = true,
        Resume = "no",
        SaveStrategy = "no",
        DataloaderNumWorkers = LoaderWorkers,
        Threads = _options.Threads,
    };

    private static (DemoScore Score, double Captions, double CaptionsSwapped) Evaluate(
        Engine engine, DemoEvaluator evaluator, ModelParts parts)
    {
        using LoadedModel loaded = ModelLoader.Load(engine, parts);
        return (
            evaluator.Ask(loaded.Model, swapped: false).Score,
            evaluator.CaptionLoss(loaded.Model, swapped: false),
            evaluator.CaptionLoss(loaded.Model, swapped: true));
    }

    private T Timed<T>(string part, Func<T> work)
    {
        _cancellation.ThrowIfCancellationRequested();
        Stopwatch clock = Stopwatch.StartNew();
        T result = work();
        _seconds.Add((part, clock.Elapsed.TotalSeconds));
        _progress.Note(string.Create(CultureInfo.InvariantCulture, $"{part}: {clock.Elapsed.TotalSeconds:0.0} s"));
        return result;
    }
}
