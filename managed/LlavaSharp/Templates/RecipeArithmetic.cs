using LlavaSharp.Tokenization;

namespace LlavaSharp.Templates;

/// <summary>
/// The recipe finds its labels by tokenising each round and each question once more and adding lengths up. Where the sum is not
/// the prompt's length it masks the whole sample ("tokenization mismatch"). Here labels come from the tokens themselves; this
/// only says whether the recipe would have done so, to be counted.
/// </summary>
internal static class RecipeArithmetic
{
    /// <summary>Whether the recipe would mask a sample.</summary>
    /// <param name="template">The template; the paths of captions and of the oldest form check nothing.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="prompt">The prompt's text.</param>
    /// <param name="ids">Its ids.</param>
    /// <param name="hasImage">Whether image marks are images.</param>
    /// <param name="maxLength">Longer samples are not checked.</param>
    public static bool Masks(
        ConversationTemplate template, LlavaTokenizer tokenizer, string prompt, ReadOnlySpan<int> ids, bool hasImage, int maxLength)
    {
        if (template.Style is SeparatorStyle.Plain or SeparatorStyle.Single)
        {
            return false;
        }

        var total = 0;
        foreach (var id in ids[..(hasImage ? ids.Length : Math.Min(ids.Length, maxLength))])
        {
            total += id == tokenizer.UnknownId ? 0 : 1;
        }

        var sum = template.Style == SeparatorStyle.Mpt
            ? ChatMl(template, tokenizer, prompt, Count)
            : Rounds(template, tokenizer, prompt, Count);
        return sum < maxLength && sum != total;

        int Count(string text) => Length(tokenizer, text, hasImage);
    }

    private static long Rounds(ConversationTemplate template, LlavaTokenizer tokenizer, string prompt, Func<string, int> count)
    {
        var opening = template.Style == SeparatorStyle.Llama2 ? "[/INST] " : template.Separator + template.AssistantRole + ": ";

        // The correction is upstream's, for v1 alone, and reads an attribute that byte-level tokenizers do not have.
        var corrects = template is { Style: SeparatorStyle.Two, Dialect: TemplateDialect.Upstream }
            && !tokenizer.Legacy && !tokenizer.IsByteLevel;
        long sum = 1;
        foreach (var (i, round) in prompt.Split(template.Separator2).Index())
        {
            if (round.Length == 0 || round.Split(opening).Length != 2)
            {
                break;
            }

            sum += count(round) - (corrects && i > 0 ? 1 : 0);
        }

        return sum;
    }

    private static long ChatMl(ConversationTemplate template, LlavaTokenizer tokenizer, string prompt, Func<string, int> count)
    {
        var opening = template.Separator + template.AssistantRole;
        var pieces = prompt.Split(template.Separator);
        var hermes = template.Version == "mpt_oh";
        long sum = 0;
        for (var at = 0; at < pieces.Length; at += at == 0 ? 3 : 2)
        {
            var round = string.Join(template.Separator, pieces.Skip(at).Take(at == 0 ? 3 : 2));
            if (round.Length == 0 || round.Split(opening).Length != 2)
            {
                break;
            }

            sum += hermes ? count(round + template.Separator) - 1 : count(round) + (at > 0 && tokenizer.Legacy ? 1 : 0);
        }

        return sum;
    }

    /// <summary>Ids of a text by itself: the begin mark, then chunks between images, each a text of its own.</summary>
    private static int Length(LlavaTokenizer tokenizer, string text, bool hasImage)
    {
        var (length, first) = (tokenizer.AddBos ? 1 : 0, true);
        foreach (var chunk in hasImage ? text.Split(PromptText.ImageMark) : [text])
        {
            length += tokenizer.EncodeWithSpecial(chunk).Length + (first ? 0 : 1);
            first = false;
        }

        return length;
    }
}
