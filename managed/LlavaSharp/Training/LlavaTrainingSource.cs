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
/// <param name="images">How images become tokens.</param>
/// <param name="rules">What prompts depend on; null for the recipe's own settings.</param>
public sealed class LlavaTrainingSource(
    SampleDataset dataset,
    string path,
    string? imageFolder,
    LlavaTokenizer tokenizer,
    ConversationTemplate template,
    ImagePlan images,
    PromptRules? rules = null) : ITrainingSource
{
    /// <summary>
    /// What makes a sample bad enough to be left out; null leaves nothing out: the first sample that cannot be trained is an error.
    /// The data file is then opened with <see cref="SampleDataset.OpenTolerant"/>.
    /// </summary>
    public SampleChecker? Skip { get; init; }

    /// <inheritdoc/>
    public int Count => dataset.Count;

    /// <inheritdoc/>
    public int ModalityLength(int index) => dataset.ModalityLength(index);

    /// <inheritdoc/>
    public PreparedSample Load(int index) => Named(index, () => Skip is null ? Read(index) : ReadOrSkip(Skip, index));

    /// <summary>Finds a sample's pictures without reading them.</summary>
    /// <param name="index">The sample.</param>
    /// <returns>How many it has.</returns>
    /// <exception cref="UserErrorException">One is not there, or lies outside the image folder.</exception>
    public int FindImages(int index) => Named(index, () =>
    {
        var sample = dataset[index];
        foreach (var image in sample.Images)
        {
            Resolve(image, index);
        }

        return sample.Images.Count;
    });

    private T Named<T>(int index, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (UserErrorException e)
        {
            var prefix = $"sample {index}: ";
            var reason = e.Message.StartsWith(prefix, StringComparison.Ordinal) ? e.Message[prefix.Length..] : e.Message;
            throw new UserErrorException($"{path}: sample {index}: {reason}", e);
        }
    }

    private PreparedSample Read(int index)
    {
        var sample = dataset[index];
        var name = sample.Id is null ? $"sample {index}" : $"sample {index} (id \"{sample.Id}\")";
        return new(index, name, PromptBuilder.Build(template, tokenizer, sample, index, rules), Pixels(sample, index));
    }

    /// <summary>The checks of <c>check-data</c>, without decoding images twice: what decoding finds is a problem, too.</summary>
    private PreparedSample ReadOrSkip(SampleChecker checker, int index)
    {
        var problem = dataset.Problem(index);
        if (problem is null)
        {
            var sample = dataset[index];
            problem = checker.CheckText(sample, index);
            foreach (var image in sample.Images)
            {
                problem ??= checker.CheckImage(image, index, decode: false);
            }
        }

        if (problem is not null)
        {
            return PreparedSample.Skipped(problem);
        }

        try
        {
            return Read(index);
        }
        catch (UserErrorException e)
        {
            return PreparedSample.Skipped(new(index, SampleChecker.FaultOf(e), e.Message));
        }
    }

    private PreparedImage[] Pixels(Sample sample, int index) =>
        [.. sample.Images.Select(image => images.Load(Resolve(image, index)))];

    private string Resolve(string image, int index) => imageFolder is null
        ? throw new UserErrorException($"it has an image \"{image}\", but no --image_folder is given")
        : ImagePaths.Resolve(imageFolder, image, index);
}
