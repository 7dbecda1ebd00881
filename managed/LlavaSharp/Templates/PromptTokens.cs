using LlavaSharp.Data;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Templates;

/// <summary>
/// Turns a prompt into ids and labels in one pass. The text is cut at image marks and at special tokens, each run
/// is encoded once, and its labels come from the same run: ids and labels cannot disagree, so the recipe's
/// "tokenization mismatch" does not exist here. Where the recipe finds none, the result is the recipe's
/// (unless a question ends with the assistant's own name and colon, which the recipe takes for the answer's start).
/// </summary>
internal sealed class PromptTokens
{
    private readonly LlavaTokenizer _tokenizer;

    private readonly List<int> _ids = [];

    private readonly List<int> _labels = [];

    public PromptTokens(LlavaTokenizer tokenizer, bool bos)
    {
        _tokenizer = tokenizer;
        if (bos && tokenizer.AddBos)
        {
            Add(tokenizer.BosId, trained: false);
        }
    }

    /// <summary>The ids so far.</summary>
    public int[] Ids => [.. _ids];

    /// <summary>The labels so far.</summary>
    public int[] Labels => [.. _labels];

    /// <summary>Appends an image's place; it is never trained.</summary>
    public void AddImage() => Add(LlavaTokenizer.ImageToken, trained: false);

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
    /// token a legacy tokenizer begins anew, another one does not.
    /// </summary>
    private void AddChunk(PromptText prompt, int start, int end)
    {
        foreach (var segment in _tokenizer.Segments(prompt.Text, start, end))
        {
            if (segment.Id >= 0)
            {
                Add(segment.Id, prompt.Trained.Any(s => s.Start <= segment.Start && segment.Start < s.End));
            }
            else
            {
                AddRun(prompt, segment);
            }
        }
    }

    private void AddRun(PromptText prompt, TextSegment run)
    {
        var ids = _tokenizer.EncodeRun(prompt.Text[run.Start..run.End], run.DummyPrefix);
        var labels = new int[ids.Length];
        Array.Fill(labels, TokenizedSample.IgnoredLabel);
        foreach (var stretch in prompt.Trained)
        {
            if (stretch.Start < run.End && stretch.End > run.Start)
            {
                var from = TokensBefore(prompt.Text, run, stretch.Start);
                var to = stretch.End >= run.End ? ids.Length : TokensBefore(prompt.Text, run, stretch.End);
                if (stretch.MaxTokens < int.MaxValue)
                {
                    // The limit counts from the stretch's start: a later run of it has none of these tokens.
                    to = stretch.Start < run.Start ? 0 : Math.Min(to, from + stretch.MaxTokens);
                }

                to = Math.Min(to, ids.Length);
                for (var i = from; i < to; i++)
                {
                    labels[i] = ids[i];
                }
            }
        }

        _ids.AddRange(ids);
        _labels.AddRange(labels);
    }

    /// <summary>
    /// Tokens of a run before a place in it. Before a space the prefix is encoded with that space, and the space's own
    /// token, which in the run belongs to the next word, is taken off again.
    /// </summary>
    private int TokensBefore(string text, TextSegment run, int position)
    {
        if (position <= run.Start)
        {
            return 0;
        }

        var space = text[position] == ' ';
        var prefix = text[run.Start..position];
        return _tokenizer.EncodeRun(space ? prefix + ' ' : prefix, run.DummyPrefix).Length - (space ? 1 : 0);
    }

    private void Add(int id, bool trained)
    {
        _ids.Add(id);
        _labels.Add(trained ? id : TokenizedSample.IgnoredLabel);
    }
}
