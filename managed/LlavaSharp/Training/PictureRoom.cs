using LlavaSharp.Data;

namespace LlavaSharp.Training;

/// <summary>
/// Refuses a run whose longest sequence has no room behind a picture: every answer about one would be cut off, and nothing learned.
/// Some samples of the file are looked at; one of them that fits is enough.
/// </summary>
internal static class PictureRoom
{
    private const int Looked = 32;

    /// <summary>Checks a run.</summary>
    /// <param name="dataset">Its samples.</param>
    /// <param name="checker">Template, tokenizer, rules and images of the run.</param>
    /// <exception cref="UserErrorException">No sample with a picture that was looked at would learn a token.</exception>
    public static void Check(SampleDataset dataset, SampleChecker checker)
    {
        int[] pictures = [.. Enumerable.Range(0, dataset.Count)
            .Where(i => dataset.ModalityLength(i) > 0 && dataset.Problem(i) is not { IsNote: false })];
        var (limit, needed) = (checker.Rules.ModelMaxLength, long.MaxValue);
        for (var k = 0; k < Math.Min(Looked, pictures.Length); k++)
        {
            var index = pictures[(int)((long)k * pictures.Length / Math.Min(Looked, pictures.Length))];
            needed = Math.Min(needed, checker.TokensToLearn(dataset[index], index) ?? long.MaxValue);
            if (needed <= limit)
            {
                return;
            }
        }

        if (needed < long.MaxValue)
        {
            throw new UserErrorException(
                $"--model_max_length {limit} is too short for pictures: {needed} tokens are needed up to the first one that is learned, "
                + $"the picture's rows ({checker.ImageRows} a tile) among them, so nothing would be learned from the {pictures.Length} samples with "
                + $"pictures; raise it ({Math.Max(2048, needed)} will do; the recipe's scripts give 2048)");
        }
    }
}
