using LlavaSharp.Checkpoints;
using LlavaSharp.Data;
using LlavaSharp.Imaging;
using LlavaSharp.Templates;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Training;

/// <summary>
/// The data of a training run without the run: what <c>check-data</c> and <c>show-sample</c> need of its flags. No weights are read.
/// </summary>
public sealed class DataSession : IDisposable
{
    private readonly ImagePlan _plan;
    private readonly bool _startEnd;

    private DataSession(TrainOptions options)
    {
        Template = TrainSetup.FindTemplate(options);
        var parts = options.ModelNameOrPath is { } folder && LlavaConfig.IsLlavaFolder(folder)
            ? new ModelParts { LanguageFolder = folder, ClipFolder = Directory.Exists(options.VisionTower) ? options.VisionTower : null }
            : null;
        var model = parts is null ? null : ModelLoader.ReadConfig(parts);
        _startEnd = options.MmUseImStartEnd ?? model?.ImageStartEnd ?? false;
        if (options.ModelNameOrPath is { } name)
        {
            var tokenizer = LlavaTokenizer.Load(name);
            ModelLoader.CheckRows((model?.Text ?? TextConfig.Load(name)).VocabularySize, tokenizer);
            Tokenizer = tokenizer.WithTokens(_startEnd ? [PromptText.ImageStart, PromptText.ImageEnd] : []);
        }

        var (vision, processor) = (parts, options.VisionTower) switch
        {
            ({ } llava, _) => (model!.Vision!, ModelLoader.ReadProcessor(llava)),
            (_, { } tower) => (VisionConfig.Load(tower), ImageProcessorConfig.Load(tower)),
            _ => (VisionConfig.ClipLarge336, ImageProcessorConfig.Clip(336)), // The published models' tower.
        };
        var aspect = options.ImageAspectRatio ?? model?.ImageAspectRatio ?? (processor.Pads == true ? "pad" : "square");
        Options = options = options with { ImageAspectRatio = aspect };
        _plan = Plan(options, model, vision, processor);
        if (options.ImageFolder is { } images && !Directory.Exists(images))
        {
            throw new UserErrorException($"--image_folder {images} does not exist");
        }

        Dataset = SampleDataset.OpenTolerant(
            options.DataPath ?? throw new UserErrorException("--data_path is missing: the training file in LLaVA's layout"));
    }

    /// <summary>The flags, and what the model's folder adds where one is left out.</summary>
    public TrainOptions Options { get; }

    /// <summary>The data file; malformed samples and repetitions are among its samples.</summary>
    public SampleDataset Dataset { get; }

    /// <summary>The conversation format.</summary>
    public ConversationTemplate Template { get; }

    /// <summary>The tokenizer; null when no model is named.</summary>
    public LlavaTokenizer? Tokenizer { get; }

    /// <summary>The rules that samples are checked by.</summary>
    public SampleChecker Checker => new()
    {
        ImageFolder = Options.ImageFolder,
        Template = Template,
        Tokenizer = Tokenizer,
        Rules = Rules,
        ImageRows = _plan.TileRows,
        Images = _plan,
        EveryMarkAsks = Dataset.Blind.AreMost,
    };

    private PromptRules Rules => new() { ModelMaxLength = Options.ModelMaxLength, ImageStartEnd = _startEnd };

    /// <summary>Opens the data that flags of <c>train</c> name.</summary>
    /// <param name="options">The flags: data, images, template; model and tower where lengths and tokens are wanted.</param>
    /// <exception cref="UserErrorException">Something is missing or cannot be read.</exception>
    public static DataSession Open(TrainOptions options) => new(options);

    /// <summary>A sample as the model will see it.</summary>
    /// <param name="index">Its index in the file.</param>
    /// <param name="openImages">Whether its images are decoded, for their sizes.</param>
    /// <exception cref="UserErrorException">There is no such sample, or it cannot be trained.</exception>
    public SamplePreview Preview(int index, bool openImages)
    {
        if ((uint)index >= (uint)Dataset.Count)
        {
            throw new UserErrorException($"--index {index}: {Options.DataPath} has {Dataset.Count} samples, 0 to {Dataset.Count - 1}");
        }

        var tokenizer = Tokenizer ?? throw new UserErrorException("--model_name_or_path is missing: a folder with the model's tokenizer");
        var sample = Dataset[index];
        if (PictureMarks.Missing(sample, Dataset.Blind.AreMost) is { } missing)
        {
            throw new UserErrorException($"{Options.DataPath}: sample {index}: {missing}");
        }

        var (tokenized, text) = PromptBuilder.BuildWithText(Template, tokenizer, sample, index, Rules);
        return new(index, sample.Id, text, tokenized, sample.Images, [.. sample.Images.Select(i => openImages ? Measure(i, index) : null)]);
    }

    /// <inheritdoc/>
    public void Dispose() => Dataset.Dispose();

    private static ImagePlan Plan(TrainOptions options, LlavaConfig? model, VisionConfig vision, ImageProcessorConfig processor)
    {
        var sizes = options.ImageGridPinpoints is { } given ? GridPinpoints.Parse(given) : model?.GridPinpoints ?? [];
        var tiles = options.ImageAspectRatio == "anyres";
        return new()
        {
            Processor = new ImageProcessor(processor),
            TileRows = vision.PatchCount + (options.MmVisionSelectFeature == "cls_patch" || model?.KeepClassToken == true ? 1 : 0),
            Mode = options.ImageAspectRatio == "pad" ? ImageAspectRatio.Pad : ImageAspectRatio.Square,
            Canvases = !tiles ? [] : sizes.Count > 0 ? sizes : throw GridPinpoints.Missing(),
            Merge = PatchMerges.Parse(options.MmPatchMergeType ?? "") ?? model?.PatchMerge ?? PatchMerge.Flat,
        };
    }

    private ImageSizes Measure(string image, int index)
    {
        var folder = Options.ImageFolder
            ?? throw new UserErrorException($"sample {index}: {SampleChecker.NoFolder(image).Message}");
        var picture = ImageDecoder.Load(ImagePaths.Resolve(folder, image, index));
        var rows = _plan.TokenCount(picture.Width, picture.Height);
        return new(picture.Width, picture.Height, _plan.Processor.Size, Options.ImageAspectRatio!, rows);
    }
}
