using LlavaSharp.Data;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;
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
        var run = new Run(imageRows, maxLength, samples.Sum(Longest));
        foreach (var sample in samples)
        {
            Append(run, sample);
        }

        return new(
            [.. run.Tokens], [.. run.Labels], [.. run.Positions], [.. run.Starts], [.. run.Slots], Concatenate(run.Images),
            Supervised(run.Labels, run.Starts));
    }

    private int Longest(PreparedSample sample) =>
        Math.Min(maxLength, sample.Text.InputIds.Length + sample.Images.Sum(i => i.Rows?.Length ?? imageRows));

    private void Append(Run run, PreparedSample sample)
    {
        var (ids, wanted) = (sample.Text.InputIds, sample.Text.Labels);
        var marks = 0;
        for (var i = 0; i < Math.Min(ids.Length, maxLength); i++)
        {
            if (ids[i] == LlavaTokenizer.ImageToken)
            {
                run.AddImage(marks++ < sample.Images.Count ? sample.Images[marks - 1] : throw new UserErrorException(
                    $"{sample.Name}: {marks} <image> {(marks == 1 ? "mark" : "marks")} for {sample.Images.Count} images"));
            }
            else if (ids[i] != paddingId)
            {
                run.AddToken(ids[i], wanted[i]);
            }
        }

        run.EndSample();
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

    /// <summary>The run of tokens as it grows.</summary>
    private sealed class Run(int imageRows, int maxLength, int capacity)
    {
        private int _start;

        public List<int> Tokens { get; } = new(capacity);

        public List<int> Labels { get; } = new(capacity);

        public List<int> Positions { get; } = new(capacity);

        public List<int> Starts { get; } = [0];

        public List<int> Slots { get; } = [];

        public List<float[]> Images { get; } = [];

        /// <summary>False where the sample is full.</summary>
        public bool AddToken(int id, int label)
        {
            var position = Tokens.Count - _start;
            if (position >= maxLength)
            {
                return false;
            }

            Tokens.Add(id);
            Labels.Add(label);
            Positions.Add(position);
            return true;
        }

        public void AddImage(PreparedImage image)
        {
            // An image that is wholly cut off costs nothing: the tower never sees it.
            if (Tokens.Count - _start >= maxLength)
            {
                return;
            }

            // The tower gives every row of every tile; the layout says which of them are seen, and where.
            var first = Slots.Count;
            Images.Add(image.Pixels);
            Slots.AddRange(Enumerable.Repeat(-1, image.Tiles * imageRows));
            foreach (var row in image.Rows ?? Enumerable.Range(0, imageRows))
            {
                var newline = row == AnyResolutionLayout.Newline;
                if (AddToken(newline ? PackedBatch.ImageNewline : 0, TokenizedSample.IgnoredLabel) && !newline)
                {
                    Slots[first + row] = Tokens.Count - 1;
                }
            }
        }

        public void EndSample()
        {
            if (Tokens.Count > _start)
            {
                Starts.Add(Tokens.Count);
                _start = Tokens.Count;
            }
        }
    }
}
