using LlavaSharp.Checkpoints;
using LlavaSharp.Data;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Templates;
using LlavaSharp.Tokenization;
using LlavaSharp.Training.Resume;
using LlavaSharp.Zero;

namespace LlavaSharp.Training;

/// <summary>
/// Everything of a run that can be wrong before it starts: opened, read and checked here, so that no hour of training is lost to
/// a misspelt path or to a result that cannot be written.
/// </summary>
public sealed class TrainSetup : IDisposable
{
    private readonly SampleDataset _dataset;
    private readonly string _output;

    private TrainSetup(TrainOptions options)
    {
        ModelFolder = Folder("model_name_or_path", options.ModelNameOrPath);
        var dataPath = options.DataPath ?? throw Missing("data_path", "the training file in LLaVA's layout");
        _output = options.OutputDir ?? throw Missing("output_dir", "a folder for the result");
        Template = FindTemplate(options);
        Adapters = options is { LoraEnable: true, TuneMmMlpAdapter: false } ? ReadAdapters(options) : null;
        CheckStorage(options);
        IsLlavaFolder = LlavaConfig.IsLlavaFolder(ModelFolder);
        Parts = FindParts(options);
        Config = ModelLoader.ReadConfig(Parts);
        Options = options = options with { ImageAspectRatio = Config.ImageAspectRatio };
        CheckConfig(options, Config);
        Tokenizer = LlavaTokenizer.Load(ModelFolder).WithTokens(Config.ImageTokens);
        AddsTokens = FindNewTokens();
        ModelLoader.CheckVocabulary(Config, Tokenizer);
        Processor = ModelLoader.ReadProcessor(Parts);
        CheckImages(options, Processor, Config);
        CheckFile("pretrain_mm_mlp_adapter", options.PretrainMmMlpAdapter);
        var skips = options.OnBadSample == "skip";
        _dataset = skips ? SampleDataset.OpenTolerant(dataPath) : SampleDataset.Open(dataPath);
        try
        {
            Source = new LlavaTrainingSource(
                _dataset, dataPath, options.ImageFolder, Tokenizer, Template, Config.PlanImages(Processor),
                Rules)
            {
                Skip = skips ? Checker(options) : null,
            };
            CheckMarks(dataPath, skips);
            Plan = TrainingPlan.Create(EpochOrder.Length(Source, options), options);
            Source.Load(0);
            PictureRoom.Check(_dataset, Checker(options));
        }
        catch
        {
            _dataset.Dispose();
            throw;
        }
    }

    /// <summary>What was asked for, and what the model's folder adds where a flag is left out.</summary>
    public TrainOptions Options { get; }

    /// <summary>The language model's, or the LLaVA checkpoint's, folder.</summary>
    public string ModelFolder { get; }

    /// <summary>Whether the model folder is a whole LLaVA checkpoint.</summary>
    public bool IsLlavaFolder { get; }

    /// <summary>Where its weights come from.</summary>
    public ModelParts Parts { get; }

    /// <summary>Shape of the model.</summary>
    public LlavaConfig Config { get; }

    /// <summary>The adapters that train; null for a run without any.</summary>
    public AdapterOptions? Adapters { get; }

    /// <summary>The language model's tokenizer.</summary>
    public LlavaTokenizer Tokenizer { get; }

    /// <summary>Whether <see cref="Tokenizer"/> has tokens that the model's folder lacks.</summary>
    public bool AddsTokens { get; }

    /// <summary>The conversation format.</summary>
    public ConversationTemplate Template { get; }

    /// <summary>How images become pixels.</summary>
    public ImageProcessorConfig Processor { get; }

    /// <summary>The samples.</summary>
    public LlavaTrainingSource Source { get; }

    /// <summary>How long the run is.</summary>
    public TrainingPlan Plan { get; }

    /// <summary>The checkpoint that the run goes on from; null begins anew. <see cref="Begin"/> finds it.</summary>
    public ResumeFrom? From { get; private set; }

    /// <summary>Opens and checks everything but the output folder.</summary>
    /// <param name="options">What was asked for.</param>
    /// <returns>The setup; call <see cref="Begin"/> next.</returns>
    /// <exception cref="UserErrorException">Something does not fit; the message says what, with the flag.</exception>
    public static TrainSetup Open(TrainOptions options) => new(options);

    /// <summary>Finds the checkpoint to go on from, and takes the output folder: it then exists and can be written into.</summary>
    /// <param name="ranks">The processes of the run, all of which call this and share the checking of a checkpoint's files.</param>
    /// <exception cref="UserErrorException">A checkpoint is damaged, or the folder holds something else or cannot be written.</exception>
    public void Begin(Ranks ranks)
    {
        From = ResumeFrom.Find(Options, ranks);
        ranks.Together("taking the output folder", Claim);
    }

    /// <inheritdoc/>
    public void Dispose() => _dataset.Dispose();

    private PromptRules Rules => new() { ModelMaxLength = Options.ModelMaxLength, ImageStartEnd = Config.ImageStartEnd };

    private void CheckMarks(string dataPath, bool skips)
    {
        if (!skips && _dataset.Blind is { First: { } first } blind)
        {
            throw new UserErrorException($"{dataPath}: {first.Message}"
                + (blind.Count == 1 ? "" : $" ({blind.Count} of {_dataset.Count} samples lack a picture so)")
                + "; --on_bad_sample skip leaves such samples out");
        }
    }

    /// <summary>What makes a sample of this run bad.</summary>
    private SampleChecker Checker(TrainOptions options) => new()
    {
        ImageFolder = options.ImageFolder,
        Template = Template,
        Tokenizer = Tokenizer,
        Rules = Rules,
        ImageRows = Config.ImageRowCount,
        Images = Config.PlanImages(Processor),
        EveryMarkAsks = _dataset.Blind.AreMost,
    };

    private void Claim()
    {
        if (!Options.Place.IsFirst)
        {
            return;
        }

        RefuseSource("model_name_or_path", Options.ModelNameOrPath, _output);
        RefuseSource("vision_tower", Options.VisionTower, _output);
        RefuseSource("vision_tower", Options.VisionTower, Path.Combine(_output, LlavaLayoutConfig.TowerFolder));
        new CheckpointStore(_output).CheckNames(From?.State.Step ?? 0, Plan.TotalSteps);
        var mayHoldFiles = Options.OverwriteOutputDir || From is not null || OutputFolder.HoldsOnlyAnEndedRun(_output);
        if (Options.DryRun)
        {
            OutputFolder.Check(_output, mayHoldFiles);
        }
        else
        {
            OutputFolder.Prepare(_output, mayHoldFiles);
        }

        if (Options.TuneMmMlpAdapter)
        {
            OutputFolder.CheckWritable(Path.GetDirectoryName(StageOneFiles.ProjectorPath(_output))!);
        }
    }

    private static void RefuseSource(string flag, string? source, string place)
    {
        if (source is not null && Directory.Exists(source) && RealPath.IsSame(source, place))
        {
            throw new UserErrorException($"--{flag} {source} is where the result would go; name another --output_dir");
        }
    }

    private static AdapterOptions ReadAdapters(TrainOptions options)
    {
        var adapters = new AdapterOptions
        {
            Rank = options.LoraR,
            Alpha = options.LoraAlpha,
            Dropout = options.LoraDropout,
            Bias = options.LoraBias switch { "all" => LoraBias.All, "lora_only" => LoraBias.LoraOnly, _ => LoraBias.None },
            RankStabilized = options.UseRslora,
            Dora = options.UseDora,
        };
        adapters.Check();
        return adapters;
    }

    private static void CheckStorage(TrainOptions options)
    {
        var trained = TrainingRun.TrainedUnits(options);
        if (options.Bits < 16 && (trained & UnitKinds.Layer) != 0)
        {
            throw new UserErrorException($"--bits {options.Bits}: weights of so few bits cannot train; train adapters beside them with "
                + "--lora_enable True, or leave the flag out");
        }

        if (options is { ZeroStage: 3, Place.World: > 1 } && options.Storage != WeightStorage.Float32)
        {
            throw new UserErrorException($"--zero 3 divides float32 weights, and these are stored otherwise ({options.Storage}); "
                + "use --zero 2, or leave out --bits and --weights");
        }
    }

    private static void CheckConfig(TrainOptions options, LlavaConfig config)
    {
        config.CheckContext(options.ModelMaxLength);
        if (config.Vision is null && !HuggingFaceLlavaWriter.CanExport(config, out var reason))
        {
            throw new UserErrorException(reason);
        }

        if (LlavaConfig.IsLlavaFolder(options.ModelNameOrPath!) && options.MmProjectorType is { } name
            && ProjectorType.Parse(name) != config.Projector)
        {
            throw new UserErrorException(
                $"--mm_projector_type {name}: {options.ModelNameOrPath} is a LLaVA checkpoint, whose projector is {config.Projector}");
        }

        if (options.TuneMmMlpAdapter && config.Projector.Depth == 0)
        {
            throw new UserErrorException("--mm_projector_type identity has nothing to train in stage 1");
        }
    }

    private bool FindNewTokens()
    {
        ModelLoader.CheckTokens(Config, Tokenizer);
        var known = Config.ImageTokens.Any() ? LlavaTokenizer.Load(ModelFolder).IdCount : 0;
        return Config.ImageTokens.Any(t => Tokenizer.AddedTokens[t] >= known);
    }

    private static void CheckImages(TrainOptions options, ImageProcessorConfig processor, LlavaConfig config)
    {
        if (processor.Size != config.Vision!.ImageSize)
        {
            throw new UserErrorException(
                $"the image processor makes {processor.Size} pixels a side, but the vision tower reads {config.Vision.ImageSize}");
        }

        if (options.ImageFolder is { } images && !Directory.Exists(images))
        {
            throw new UserErrorException($"--image_folder {images} does not exist");
        }
    }

    /// <summary>The template that the options name.</summary>
    internal static ConversationTemplate FindTemplate(TrainOptions options) => (options.Version, options.Template) switch
    {
        (not null, not null) => throw new UserErrorException(
            "--version and --template both name a conversation template, and their texts differ; give one"),
        (null, { } name) => ConversationTemplates.Get(name, TemplateDialect.Itrex),
        ({ } name, null) => ConversationTemplates.Get(name),
        _ => ConversationTemplates.Get(options.TuneMmMlpAdapter ? "plain" : ConversationTemplates.DefaultName),
    };

    /// <summary>The folders that a run's model lies in.</summary>
    internal static ModelParts FindParts(TrainOptions options)
    {
        var modelFolder = Folder("model_name_or_path", options.ModelNameOrPath);
        var isLlava = LlavaConfig.IsLlavaFolder(modelFolder);
        if (!isLlava)
        {
            // An architecture that there is not is the mistake to name, before what such a folder lacks.
            TextConfig.Load(modelFolder);
        }

        var projector = options.MmProjectorType is null ? ProjectorType.Mlp2 : ProjectorType.Parse(options.MmProjectorType);

        // The recipe's scripts name the published tower beside a checkpoint that holds it; another folder is another tower.
        var hasTower = isLlava && LlavaConfig.LayoutOf(modelFolder) == FolderLayout.HuggingFace;
        if (hasTower && Directory.Exists(options.VisionTower))
        {
            throw new UserErrorException(
                $"--vision_tower {options.VisionTower}: {modelFolder} is a LLaVA checkpoint with a tower of its own; leave the flag out");
        }

        return new()
        {
            LanguageFolder = modelFolder,
            ClipFolder = hasTower || (isLlava && options.VisionTower is null) ? null : Folder("vision_tower", options.VisionTower),
            ProjectorFile = options.PretrainMmMlpAdapter,
            Projector = projector,
            FeatureLayer = options.MmVisionSelectLayer,
            KeepClassToken = options.MmVisionSelectFeature is { } feature ? feature == "cls_patch" : null,
            ImageAspectRatio = options.ImageAspectRatio,
            ImageStartEnd = options.MmUseImStartEnd,
            ImagePatchToken = options.MmUseImPatchToken,
            GridPinpoints = options.ImageGridPinpoints is { } sizes ? GridPinpoints.Parse(sizes) : null,
            PatchMerge = options.MmPatchMergeType is { } merge ? PatchMerges.Parse(merge) : null,
            Seed = options.Seed,
        };
    }

    private static string Folder(string flag, string? path) =>
        path is null ? throw Missing(flag, "a folder in Hugging Face's layout")
        : Directory.Exists(path) ? path
        : throw new UserErrorException(FileLinks.WhyNoFolder(path)
            ?? $"--{flag} {path} does not exist; name a folder on this machine (nothing is downloaded)");

    private static void CheckFile(string flag, string? path)
    {
        if (path is not null && !File.Exists(path))
        {
            throw new UserErrorException($"--{flag} {path} does not exist");
        }
    }

    private static UserErrorException Missing(string flag, string what) => new($"--{flag} is missing: {what}");
}
