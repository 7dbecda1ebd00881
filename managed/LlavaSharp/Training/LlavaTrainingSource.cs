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
    /// <returns>How many it has; null where the sample is left out: by its turns and marks, or for a picture that is not there.</returns>
    /// <exception cref="UserErrorException">One is not there, or lies outside the image folder, and nothing may be left out.</exception>
    public int? FindImages(int index) => Named<int?>(index, () =>
    {
        if (Skip is not null && dataset.Problem(index) is { IsNote: false })
        {
            return null;
        }

        var sample = dataset[index];
        try
        {
            return Skip?.CheckTurnsAndMarks(sample, index) is null ? Find(sample, index) : null;
        }
        catch (UserErrorException) when (Skip is not null)
        {
            return null;
        }
    });

    private int Find(Sample sample, int index)
    {
        foreach (var image in sample.Images)
        {
            Resolve(image, index);
        }

        return sample.Images.Count;
    }

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

    /// <summary>
    /// The checks of <c>check-data</c>, without decoding images twice: what decoding finds is a problem, too. Notes leave nothing out.
    /// </summary>
    private PreparedSample ReadOrSkip(SampleChecker checker, int index)
    {
        if (FaultOf(checker, index) is { } problem)
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

    private SampleProblem? FaultOf(SampleChecker checker, int index)
    {
        if (dataset.Problem(index) is { IsNote: false } known)
        {
            return known;
        }

        var sample = dataset[index];
        var found = checker.CheckText(sample, index) ?? checker.CheckImages(sample, index, decode: false);
        return found is { IsNote: false } ? found : null;
    }

    private PreparedImage[] Pixels(Sample sample, int index) =>
        [.. sample.Images.Select(image => images.Load(Resolve(image, index)))];

    private string Resolve(string image, int index) => imageFolder is null
        ? throw SampleChecker.NoFolder(image)
        : ImagePaths.Resolve(imageFolder, image, index);
}
