using LlavaSharp.Data;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Training;

/// <summary>
/// Packs samples into a micro-batch. What is kept is exactly what the recipe's padded batch keeps: the collator cuts at
/// the maximum length counting an image as one token, tokens equal to the padding id vanish (its attention mask is
/// "id ≠ padding"), and a second cut falls after the image's rows have taken their places.
/// </summary>
/// <param name="imageRows">L: rows that one image becomes. 0 for a model without a tower.</param>
/// <param name="maxLength">The recipe's model_max_length.</param>
/// <param name="paddingId">The id that the recipe pads with, its unknown token; null removes nothing.</param>
public sealed class BatchBuilder(int imageRows, int maxLength, int? paddingId = null)
{
    /// <summary>Packs samples.</summary>
    /// <param name="samples">The micro-batch, in order. A sample that nothing is left of is dropped.</param>
    /// <returns>The layout; T = 0 when nothing is left of any sample.</returns>
    /// <exception cref="UserErrorException">A sample has more image marks than images.</exception>
    public BatchLayout Build(IReadOnlyList<PreparedSample> samples)
    {
        var longest = samples.Sum(s => Math.Min(maxLength, s.Text.InputIds.Length + (imageRows * s.Images.Count)));
        List<int> tokens = new(longest), labels = new(longest), positions = new(longest), starts = [0], slots = [];
        var images = new List<float[]>();
        foreach (var sample in samples)
        {
            Append(sample);
        }

        return new(
            [.. tokens], [.. labels], [.. positions], [.. starts], [.. slots], Concatenate(images), Supervised(labels, starts));

        void Append(PreparedSample sample)
        {
            var (ids, wanted) = (sample.Text.InputIds, sample.Text.Labels);
            var start = tokens.Count;
            var marks = 0;
            for (var i = 0; i < Math.Min(ids.Length, maxLength); i++)
            {
                if (ids[i] == LlavaTokenizer.ImageToken)
                {
                    AppendImage(sample, ++marks, start);
                }
                else if (ids[i] != paddingId)
                {
                    AppendToken(ids[i], wanted[i], start);
                }
            }

            if (tokens.Count > start)
            {
                starts.Add(tokens.Count);
            }
        }

        void AppendImage(PreparedSample sample, int marks, int start)
        {
            if (marks > sample.Images.Count)
            {
                throw new UserErrorException(
                    $"{sample.Name}: {marks} <image> {(marks == 1 ? "mark" : "marks")} for {sample.Images.Count} images");
            }

            // An image that is wholly cut off costs nothing: the tower never sees it.
            if (tokens.Count - start >= maxLength)
            {
                return;
            }

            images.Add(sample.Images[marks - 1]);
            for (var row = 0; row < imageRows; row++)
            {
                slots.Add(AppendToken(0, TokenizedSample.IgnoredLabel, start) ? tokens.Count - 1 : -1);
            }
        }

        bool AppendToken(int id, int label, int start)
        {
            var position = tokens.Count - start;
            if (position >= maxLength)
            {
                return false;
            }

            tokens.Add(id);
            labels.Add(label);
            positions.Add(position);
            return true;
        }
    }

    // A sample's first token has nothing before it that could predict it.
    private static int Supervised(List<int> labels, List<int> starts)
    {
        var supervised = 0;
        for (var b = 0; b + 1 < starts.Count; b++)
        {
            for (var t = starts[b] + 1; t < starts[b + 1]; t++)
            {
                supervised += labels[t] == TokenizedSample.IgnoredLabel ? 0 : 1;
            }
        }

        return supervised;
    }

    private static float[] Concatenate(List<float[]> images)
    {
        var all = new float[images.Sum(i => i.Length)];
        var at = 0;
        foreach (var image in images)
        {
            image.CopyTo(all.AsSpan(at));
            at += image.Length;
        }

        return all;
    }
}
