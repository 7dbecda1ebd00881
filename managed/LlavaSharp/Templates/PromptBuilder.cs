using LlavaSharp.Data;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Templates;

/// <summary>
/// From conversations to ids and labels: what LLaVA's preprocess functions do for the <c>plain</c> template
/// (a caption after an image; everything behind the image is trained) and for the <c>v1</c> family (the answers and
/// the separator that closes each are trained).
/// </summary>
public static class PromptBuilder
{
    private const string Human = "human", Assistant = "gpt";

    /// <summary>Builds a training sample.</summary>
    /// <param name="t">The template.</param>
    /// <param name="tok">The tokenizer.</param>
    /// <param name="s">The sample. With an image, <c>&lt;image&gt;</c> marks its place; without, that text is only text.</param>
    /// <param name="sampleIndex">The sample's index in its file, for messages.</param>
    /// <returns>Ids with at most one -200, and labels; not truncated.</returns>
    /// <exception cref="UserErrorException">The sample's turns do not fit, or nothing of it would be trained.</exception>
    public static TokenizedSample Build(ConversationTemplate t, LlavaTokenizer tok, Sample s, int sampleIndex)
    {
        var turns = CheckTurns(s.Conversations, sampleIndex);
        var hasImage = s.Image is not null;
        if (hasImage)
        {
            turns = [.. turns.Select(turn => PromptText.PlaceImage(t, turn))];
        }

        var tokens = new PromptTokens(tok);
        if (t.Style == SeparatorStyle.Plain)
        {
            AddPlain(t, tokens, turns, hasImage, sampleIndex);
        }
        else
        {
            CheckSeparator(t, tok);
            tokens.Add(PromptText.Join(t, turns), hasImage);
        }

        var sample = new TokenizedSample(tokens.Ids, tokens.Labels);
        var images = sample.InputIds.Count(id => id == LlavaTokenizer.ImageToken);
        return images > 1
            ? throw Bad(sampleIndex, $"{images} turns contain <image>, but a sample has one image; keep one <image>")
            : sample.Labels.AsSpan().ContainsAnyExcept(TokenizedSample.IgnoredLabel)
                ? sample
                : throw Bad(sampleIndex, "nothing of it would be trained: it has no answer from \"gpt\"");
    }

    /// <summary>Builds the prompt that asks for the next answer: it ends with the assistant's name and a colon.</summary>
    /// <param name="t">The template. <c>plain</c> ignores the turns: a caption follows the image at once.</param>
    /// <param name="tok">The tokenizer.</param>
    /// <param name="turns">The conversation so far; the human's turns first and last.</param>
    /// <param name="hasImage">Whether there is an image. Its mark is put before the first turn if no turn has one.</param>
    /// <returns>Ids, -200 where the image goes.</returns>
    /// <exception cref="UserErrorException">The turns do not fit.</exception>
    public static int[] BuildPrompt(ConversationTemplate t, LlavaTokenizer tok, IReadOnlyList<Turn> turns, bool hasImage)
    {
        var tokens = new PromptTokens(tok);
        if (t.Style == SeparatorStyle.Plain)
        {
            if (hasImage)
            {
                tokens.AddImage();
            }

            return tokens.Ids;
        }

        CheckSeparator(t, tok);
        var asked = CheckTurns(turns, sampleIndex: null).ToList();
        if (asked.Count % 2 == 0)
        {
            throw Bad(null, "the last turn is an answer; end with a question");
        }

        if (hasImage)
        {
            if (!asked.Exists(turn => turn.Value.Contains(PromptText.ImageMark, StringComparison.Ordinal)))
            {
                asked[0] = asked[0] with { Value = $"{PromptText.ImageMark}\n{asked[0].Value}" };
            }

            asked = [.. asked.Select(turn => PromptText.PlaceImage(t, turn))];
        }

        asked.Add(new Turn(Assistant, ""));
        tokens.Add(PromptText.Join(t, asked), hasImage);
        var images = tokens.Ids.Count(id => id == LlavaTokenizer.ImageToken);
        return images <= 1
            ? tokens.Ids
            : throw Bad(null, $"{images} turns contain <image>, but there is one image; keep one <image>");
    }

    /// <summary>The question is thrown away; the image, the caption and a newline remain. There is no end mark.</summary>
    private static void AddPlain(
        ConversationTemplate t, PromptTokens tokens, IReadOnlyList<Turn> turns, bool hasImage, int sampleIndex)
    {
        if (turns.Count != 2)
        {
            throw Bad(sampleIndex, $"{turns.Count} turns; template \"{t.Name}\" takes a question and a caption");
        }

        if (!hasImage)
        {
            throw Bad(sampleIndex, $"no image; template \"{t.Name}\" takes captions of images");
        }

        if (!turns[0].Value.Contains(PromptText.ImageMark, StringComparison.Ordinal))
        {
            throw Bad(sampleIndex, $"no <image> in the first turn; template \"{t.Name}\" takes captions of images");
        }

        tokens.AddImage();
        var text = turns[1].Value + t.Separator;
        tokens.Add(new PromptText(text, [(0, text.Length)]), hasImage);
    }

    /// <summary>Checks that human and gpt take turns. A first turn that is not the human's is dropped, as the recipe does.</summary>
    private static IReadOnlyList<Turn> CheckTurns(IReadOnlyList<Turn> turns, int? sampleIndex)
    {
        foreach (var turn in turns)
        {
            if (turn.From is not (Human or Assistant))
            {
                throw Bad(sampleIndex, $"a turn is from \"{turn.From}\"; known are \"{Human}\" and \"{Assistant}\"");
            }
        }

        var kept = turns is [{ From: not Human }, ..] ? [.. turns.Skip(1)] : turns;
        if (kept.Count == 0)
        {
            throw Bad(sampleIndex, $"no turns{(turns.Count == 0 ? "" : " after the first, which is not from \"human\"")}");
        }

        for (var i = 0; i < kept.Count; i++)
        {
            var expected = i % 2 == 0 ? Human : Assistant;
            if (kept[i].From != expected)
            {
                throw Bad(
                    sampleIndex,
                    $"turn {i + turns.Count - kept.Count} is from \"{kept[i].From}\" where \"{expected}\" must speak; turns alternate");
            }
        }

        return kept;
    }

    private static void CheckSeparator(ConversationTemplate t, LlavaTokenizer tok)
    {
        if (t.Separator2 != tok.EosPiece)
        {
            throw new UserErrorException(
                $"template \"{t.Name}\" ends answers with \"{t.Separator2}\", but the tokenizer's end mark is \"{tok.EosPiece}\"");
        }
    }

    private static UserErrorException Bad(int? sampleIndex, string problem) =>
        new(sampleIndex is { } index ? $"sample {index}: {problem}" : $"conversation: {problem}");
}
