using LlavaSharp.Data;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Templates;

/// <summary>
/// Turns a prompt into ids and labels in one pass. The text is cut at image marks and at special pieces, each run
/// is encoded once, and its labels come from the same run: ids and labels cannot disagree, so the recipe's
/// "tokenization mismatch" does not exist here. Where the recipe finds none, the result is the recipe's
/// (unless a question ends with the assistant's own name and colon, which the recipe takes for the answer's start).
/// </summary>
internal sealed class PromptTokens(LlavaTokenizer tokenizer)
{
    private readonly List<int> _ids = tokenizer.AddBos ? [tokenizer.BosId] : [];

    private readonly List<int> _labels = tokenizer.AddBos ? [TokenizedSample.IgnoredLabel] : [];

    /// <summary>The ids so far.</summary>
    public int[] Ids => [.. _ids];

    /// <summary>The labels so far.</summary>
    public int[] Labels => [.. _labels];

    /// <summary>Appends an image's place; it is never trained.</summary>
    public void AddImage()
    {
        _ids.Add(LlavaTokenizer.ImageToken);
        _labels.Add(TokenizedSample.IgnoredLabel);
    }

    /// <summary>Appends a prompt.</summary>
    /// <param name="prompt">The text and what is trained of it.</param>
    /// <param name="hasImage">Whether image marks are images; in a text-only sample they are text.</param>
    public void Add(PromptText prompt, bool hasImage)
    {
        for (var start = 0; ;)
        {
            var mark = hasImage ? prompt.Text.IndexOf(PromptText.ImageMark, start, StringComparison.Ordinal) : -1;
            AddChunk(prompt, start, mark < 0 ? prompt.Text.Length : mark);
            if (mark < 0)
            {
                return;
            }

            AddImage();
            start = mark + PromptText.ImageMark.Length;
        }
    }

    /// <summary>
    /// Appends what lies between two images. It begins like a text of its own, with the dummy space. After a special
    /// piece a legacy tokenizer begins anew, another one does not.
    /// </summary>
    private void AddChunk(PromptText prompt, int start, int end)
    {
        for (var first = true; start < end; first = false)
        {
            var (at, length, id) = FindSpecial(prompt.Text, start, end);
            AddRun(prompt, start, at, first || tokenizer.Legacy);
            if (length > 0)
            {
                _ids.Add(id);
                _labels.Add(IsTrained(prompt, at) ? id : TokenizedSample.IgnoredLabel);
            }

            start = at + length;
        }
    }

    private void AddRun(PromptText prompt, int start, int end, bool dummyPrefix)
    {
        var ids = tokenizer.EncodeRun(prompt.Text[start..end], dummyPrefix);
        var labels = new int[ids.Length];
        Array.Fill(labels, TokenizedSample.IgnoredLabel);
        foreach (var stretch in prompt.Trained)
        {
            if (stretch.Start < end && stretch.End > start)
            {
                var from = TokensBefore(prompt.Text, start, stretch.Start, dummyPrefix);
                var to = stretch.End >= end ? ids.Length : TokensBefore(prompt.Text, start, stretch.End, dummyPrefix);
                for (var i = Math.Min(from, ids.Length); i < Math.Min(to, ids.Length); i++)
                {
                    labels[i] = ids[i];
                }
            }
        }

        _ids.AddRange(ids);
        _labels.AddRange(labels);
    }

    /// <summary>
    /// Tokens of a run before the space at <paramref name="position"/>: the prefix is encoded with that space, and the
    /// space's own token, which in the run belongs to the answer's first word, is taken off again.
    /// </summary>
    private int TokensBefore(string text, int start, int position, bool dummyPrefix) =>
        position <= start ? 0 : tokenizer.EncodeRun(text[start..position] + ' ', dummyPrefix).Length - 1;

    private static bool IsTrained(PromptText prompt, int position)
    {
        foreach (var (start, end) in prompt.Trained)
        {
            if (start <= position && position < end)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The first special piece in a range; length 0 at the range's end when there is none.</summary>
    private (int At, int Length, int Id) FindSpecial(string text, int start, int end)
    {
        var found = (At: end, Length: 0, Id: 0);
        foreach (var (piece, id) in tokenizer.SpecialPieces)
        {
            var at = text.IndexOf(piece, start, end - start, StringComparison.Ordinal);
            if (at >= 0 && (at < found.At || (at == found.At && piece.Length > found.Length)))
            {
                found = (at, piece.Length, id);
            }
        }

        return found;
    }
}
