using LlavaSharp.Data;
using LlavaSharp.Imaging;
using LlavaSharp.Templates;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Training;

/// <summary>LLaVA's data file and image folder as training samples. Safe from several threads.</summary>
/// <param name="dataset">The data file; must outlive this.</param>
/// <param name="path">Its path, for messages.</param>
/// <param name="imageFolder">Where image paths start; null when no sample may have an image.</param>
/// <param name="tokenizer">The model's tokenizer.</param>
/// <param name="template">The conversation format.</param>
/// <param name="processor">The tower's pixels.</param>
/// <param name="mode">How images become square.</param>
/// <param name="rules">What prompts depend on; null for the recipe's own settings.</param>
public sealed class LlavaTrainingSource(
    SampleDataset dataset,
    string path,
    string? imageFolder,
    LlavaTokenizer tokenizer,
    ConversationTemplate template,
    ImageProcessor processor,
    ImageAspectRatio mode,
    PromptRules? rules = null) : ITrainingSource
{
    /// <inheritdoc/>
    public int Count => dataset.Count;

    /// <inheritdoc/>
    public int ModalityLength(int index) => dataset.ModalityLength(index);

    /// <inheritdoc/>
    public PreparedSample Load(int index)
    {
        try
        {
            var sample = dataset[index];
            var name = sample.Id is null ? $"sample {index}" : $"sample {index} (id \"{sample.Id}\")";
            return new(index, name, PromptBuilder.Build(template, tokenizer, sample, index, rules), Pixels(sample, index));
        }
        catch (UserErrorException e)
        {
            var prefix = $"sample {index}: ";
            var reason = e.Message.StartsWith(prefix, StringComparison.Ordinal) ? e.Message[prefix.Length..] : e.Message;
            throw new UserErrorException($"{path}: sample {index}: {reason}", e);
        }
    }

    private float[][] Pixels(Sample sample, int index) => [.. sample.Images.Select(image => imageFolder is null
        ? throw new UserErrorException($"it has an image \"{image}\", but no --image_folder is given")
        : processor.Load(ImagePaths.Resolve(imageFolder, image, index), mode))];
}
