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
    /// <summary>Rows of one image where no tower says otherwise: 24 × 24 patches of CLIP-L at 336 pixels.</summary>
    private const int UsualRows = 576;

    private readonly ImageProcessorConfig _processor;

    private DataSession(TrainOptions options)
    {
        Options = options;
        Template = TrainSetup.FindTemplate(options);
        Tokenizer = options.ModelNameOrPath is { } model ? LlavaTokenizer.Load(model) : null;
        (ImageRows, _processor) = FindTower(options);
        if (options.ImageFolder is { } images && !Directory.Exists(images))
        {
            throw new UserErrorException($"--image_folder {images} does not exist");
        }

        Dataset = SampleDataset.OpenTolerant(
            options.DataPath ?? throw new UserErrorException("--data_path is missing: the training file in LLaVA's layout"));
    }

    /// <summary>The flags.</summary>
    public TrainOptions Options { get; }

    /// <summary>The data file; malformed samples and repetitions are among its samples.</summary>
    public SampleDataset Dataset { get; }

    /// <summary>The conversation format.</summary>
    public ConversationTemplate Template { get; }

    /// <summary>The tokenizer; null when no model is named.</summary>
    public LlavaTokenizer? Tokenizer { get; }

    /// <summary>Tokens that one image becomes.</summary>
    public int ImageRows { get; }

    /// <summary>The rules that samples are checked by.</summary>
    public SampleChecker Checker => new()
    {
        ImageFolder = Options.ImageFolder,
        Template = Template,
        Tokenizer = Tokenizer,
        Rules = Rules,
        ImageRows = ImageRows,
    };

    private PromptRules Rules => new() { ModelMaxLength = Options.ModelMaxLength };

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
        var (tokenized, text) = PromptBuilder.BuildWithText(Template, tokenizer, sample, index, Rules);
        return new(index, sample.Id, text, tokenized, sample.Images, [.. sample.Images.Select(i => openImages ? Measure(i, index) : null)]);
    }

    /// <inheritdoc/>
    public void Dispose() => Dataset.Dispose();

    private static (int Rows, ImageProcessorConfig Processor) FindTower(TrainOptions options)
    {
        if (options.ModelNameOrPath is { } model && LlavaConfig.IsLlavaFolder(model))
        {
            var config = LlavaConfig.Load(model);
            return (config.Vision!.PatchCount + (config.KeepClassToken ? 1 : 0), ImageProcessorConfig.Load(model));
        }

        if (options.VisionTower is not { } tower)
        {
            return (UsualRows, ImageProcessorConfig.Clip(336));
        }

        var classToken = options.MmVisionSelectFeature == "cls_patch" ? 1 : 0;
        return (VisionConfig.Load(tower).PatchCount + classToken, ImageProcessorConfig.Load(tower));
    }

    private ImageSizes Measure(string image, int index)
    {
        var folder = Options.ImageFolder
            ?? throw new UserErrorException($"sample {index} has an image \"{image}\", but no --image_folder is given");
        var picture = ImageDecoder.Load(ImagePaths.Resolve(folder, image, index));
        return new(picture.Width, picture.Height, _processor.Size, Options.ImageAspectRatio, ImageRows);
    }
}
