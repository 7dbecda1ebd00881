using LlavaSharp.Data;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Templates;

/// <summary>
/// From conversations to ids and labels: what LLaVA's preprocess functions do, for every template. Trained are a caption and its
/// newline (<c>plain</c>), or the answers and the mark that closes each.
/// </summary>
public static class PromptBuilder
{
    private const string Human = "human", Assistant = "gpt", System = "system";

    /// <summary>Builds a training sample.</summary>
    /// <param name="t">The template.</param>
    /// <param name="tok">The tokenizer.</param>
    /// <param name="s">The sample. With images, <c>&lt;image&gt;</c> marks their places; without, that text is only text.</param>
    /// <param name="sampleIndex">The sample's index in its file, for messages.</param>
    /// <param name="rules">What else it depends on; null for <see cref="PromptRules.Default"/>.</param>
    /// <returns>Ids, -200 for each image, and labels; not truncated.</returns>
    /// <exception cref="UserErrorException">The sample's turns or images do not fit, or nothing of it would be trained.</exception>
    public static TokenizedSample Build(
        ConversationTemplate t, LlavaTokenizer tok, Sample s, int sampleIndex, PromptRules? rules = null) =>
        BuildWithText(t, tok, s, sampleIndex, rules).Sample;

    /// <summary>As <see cref="Build"/>, with the prompt's text, in which <c>&lt;image&gt;</c> stands for each image.</summary>
    internal static (TokenizedSample Sample, string Text) BuildWithText(
        ConversationTemplate t, LlavaTokenizer tok, Sample s, int sampleIndex, PromptRules? rules = null)
    {
        rules ??= PromptRules.Default;
        (t, var turns) = TakeSystem(Fit(t, tok), s.Conversations);
        turns = CheckTurns(turns, sampleIndex, t.Alternates);
        var hasImage = s.Images.Count > 0;
        var tokens = new PromptTokens(tok, t.KeepsBos);
        var (masks, text) = (false, "");
        if (t.Style == SeparatorStyle.Plain)
        {
            AddPlain(t, tokens, turns, s.Images.Count, sampleIndex);
            text = PromptText.ImageMark + turns[1].Value + t.Separator;
        }
        else
        {
            if (hasImage)
            {
                CheckStartEnd(tok, rules);
                turns = [.. turns.Select(turn => PromptText.PlaceImage(t, turn, s.Images.Count > 1, rules.ImageStartEnd))];
            }

            if (t.Style == SeparatorStyle.Llama2 && turns[0].Value.Length == 0)
            {
                throw Bad(sampleIndex, $"its first turn is empty; template \"{t.Name}\" begins with a question");
            }

            var prompt = PromptText.ForTraining(t, turns);
            tokens.Add(prompt, hasImage);
            text = prompt.Text;
            masks = RecipeArithmetic.Masks(t, tok, prompt.Text, tokens.Ids, hasImage, rules.ModelMaxLength);
        }

        var sample = new TokenizedSample(tokens.Ids, tokens.Labels) { RecipeMasks = masks };
        if (!sample.Labels.AsSpan().ContainsAnyExcept(TokenizedSample.IgnoredLabel))
        {
            throw Bad(sampleIndex, "nothing of it would be trained: it has no answer from \"gpt\"");
        }

        CheckMarks(sample.InputIds.Count(id => id == LlavaTokenizer.ImageToken), s.Images.Count, sampleIndex);
        return (sample, text);
    }

    /// <summary>Builds the prompt that asks for the next answer: it ends where the answer begins.</summary>
    /// <param name="t">The template. <c>plain</c> ignores the turns: a caption follows the image at once.</param>
    /// <param name="tok">The tokenizer.</param>
    /// <param name="turns">The conversation so far; the human's turns first and last.</param>
    /// <param name="hasImage">Whether there is an image. Its mark is put before the first turn if no turn has one.</param>
    /// <param name="rules">What else it depends on; null for <see cref="PromptRules.Default"/>.</param>
    /// <returns>Ids, -200 where the image goes.</returns>
    /// <exception cref="UserErrorException">The turns do not fit.</exception>
    public static int[] BuildPrompt(
        ConversationTemplate t, LlavaTokenizer tok, IReadOnlyList<Turn> turns, bool hasImage, PromptRules? rules = null)
    {
        rules ??= PromptRules.Default;
        (t, turns) = TakeSystem(Fit(t, tok), turns);
        var tokens = new PromptTokens(tok, t.KeepsBos);
        if (t.Style == SeparatorStyle.Plain)
        {
            if (hasImage)
            {
                tokens.AddImage();
            }

            return tokens.Ids;
        }

        var asked = CheckTurns(turns, sampleIndex: null, alternates: true).ToList();
        if (asked.Count % 2 == 0)
        {
            throw Bad(null, "the last turn is an answer; end with a question");
        }

        if (hasImage)
        {
            CheckStartEnd(tok, rules);
            if (!asked.Exists(turn => turn.Value.Contains(PromptText.ImageMark, StringComparison.Ordinal)))
            {
                asked[0] = asked[0] with { Value = $"{PromptText.ImageMark}\n{asked[0].Value}" };
            }

            asked = [.. asked.Select(turn => PromptText.PlaceImage(t, turn, startEnd: rules.ImageStartEnd))];
        }

        tokens.Add(PromptText.Join(t, [.. t.Examples, .. asked, new Turn(Assistant, "")]), hasImage);
        var images = tokens.Ids.Count(id => id == LlavaTokenizer.ImageToken);
        return images <= 1
            ? tokens.Ids
            : throw Bad(null, $"{images} turns contain <image>, but there is one image; keep one <image>");
    }

    /// <summary>
    /// The template with the tokenizer's own end mark, where the tokenizer does not know the template's: Llama 3 has no
    /// <c>&lt;/s&gt;</c>, and an end mark of several ordinary tokens would never stop a generation.
    /// </summary>
    internal static ConversationTemplate Fit(ConversationTemplate t, LlavaTokenizer tok) =>
        t is { Style: SeparatorStyle.Two or SeparatorStyle.Llama2 } && !tok.IsSpecial(t.Separator2!)
            ? t with { Separator2 = tok.EosPiece }
            : t;

    /// <summary>Takes a leading <c>system</c> turn, as ShareGPT files have it, for the template's system text.</summary>
    private static (ConversationTemplate Template, IReadOnlyList<Turn> Turns) TakeSystem(
        ConversationTemplate t, IReadOnlyList<Turn> turns) =>
        turns is [{ From: System } system, ..] ? (t.WithSystem(system.Value), [.. turns.Skip(1)]) : (t, turns);

    /// <summary>The question is thrown away; the image, the caption and a newline remain. There is no end mark.</summary>
    private static void AddPlain(
        ConversationTemplate t, PromptTokens tokens, IReadOnlyList<Turn> turns, int images, int sampleIndex)
    {
        if (turns.Count != 2)
        {
            throw Bad(sampleIndex, $"{turns.Count} turns; template \"{t.Name}\" takes a question and a caption");
        }

        if (images != 1)
        {
            throw Bad(sampleIndex, $"{(images == 0 ? "no image" : $"{images} images")}; template \"{t.Name}\" takes captions of images");
        }

        if (!turns[0].Value.Contains(PromptText.ImageMark, StringComparison.Ordinal))
        {
            throw Bad(sampleIndex, $"no <image> in the first turn; template \"{t.Name}\" takes captions of images");
        }

        tokens.AddImage();
        var text = turns[1].Value + t.Separator;
        tokens.Add(new PromptText(text, [new(0, text.Length)]), hasImage: true);
    }

    /// <summary>Every image needs a mark and every mark an image: the recipe would give later pictures to other samples.</summary>
    private static void CheckMarks(int marks, int images, int sampleIndex)
    {
        if (images == 1 && marks > 1)
        {
            throw Bad(sampleIndex, $"{marks} turns contain <image>, but the sample has one image; keep one <image>");
        }

        if (marks != images)
        {
            throw Bad(sampleIndex, $"{images} image{(images == 1 ? "" : "s")}, but {marks} <image> in its turns");
        }
    }

    private static void CheckStartEnd(LlavaTokenizer tok, PromptRules rules)
    {
        if (rules.ImageStartEnd && !(tok.IsSpecial(PromptText.ImageStart) && tok.IsSpecial(PromptText.ImageEnd)))
        {
            throw new UserErrorException("--mm_use_im_start_end True: the tokenizer has no <im_start> and <im_end>");
        }
    }

    /// <summary>Checks that human and gpt take turns. A first turn that is not the human's is dropped, as the recipe does.</summary>
    private static IReadOnlyList<Turn> CheckTurns(IReadOnlyList<Turn> turns, int? sampleIndex, bool alternates)
    {
        foreach (var turn in turns)
        {
            if (turn.From is not (Human or Assistant))
            {
                throw Bad(sampleIndex, turn.From == System
                    ? "a turn from \"system\" stands behind others; it comes first"
                    : $"a turn is from \"{turn.From}\"; {Turn.KnownSpeakers}");
            }
        }

        var kept = alternates && turns is [{ From: not Human }, ..] ? [.. turns.Skip(1)] : turns;
        if (kept.Count == 0)
        {
            throw Bad(sampleIndex, $"no turns{(turns.Count == 0 ? "" : " after the first, which is not from \"human\"")}");
        }

        for (var i = 0; alternates && i < kept.Count; i++)
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

    private static UserErrorException Bad(int? sampleIndex, string problem) =>
        new(sampleIndex is { } index ? $"sample {index}: {problem}" : $"conversation: {problem}");
}
