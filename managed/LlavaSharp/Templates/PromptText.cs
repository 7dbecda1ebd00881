using System.Text;
using LlavaSharp.Data;

namespace LlavaSharp.Templates;

/// <summary>
/// A prompt as one string, with the stretches of it that are trained. A stretch starts at the space before an answer
/// (the space belongs to the answer's first token) and ends after the separator that closes the answer.
/// </summary>
/// <param name="Text">The whole prompt.</param>
/// <param name="Trained">Character ranges, ascending, that do not overlap.</param>
internal sealed record PromptText(string Text, IReadOnlyList<(int Start, int End)> Trained)
{
    /// <summary>The mark of an image's place in a text.</summary>
    public const string ImageMark = "<image>";

    /// <summary>
    /// Moves the image mark to the front of its turn, as the recipe does for samples with an image: several marks in
    /// a turn become one, followed by a newline; <c>mmtag</c> templates wrap it in tags.
    /// </summary>
    public static Turn PlaceImage(ConversationTemplate template, Turn turn)
    {
        if (!turn.Value.Contains(ImageMark, StringComparison.Ordinal))
        {
            return turn;
        }

        var rest = PythonText.Strip(turn.Value.Replace(ImageMark, "", StringComparison.Ordinal));
        var value = PythonText.Strip(ImageMark + "\n" + rest);
        return turn with
        {
            Value = template.Version.Contains("mmtag", StringComparison.Ordinal)
                ? value.Replace(ImageMark, $"<Image>{ImageMark}</Image>", StringComparison.Ordinal)
                : value,
        };
    }

    /// <summary>Joins turns that alternate, the human's first; an empty text leaves the role's name without a separator.</summary>
    public static PromptText Join(ConversationTemplate template, IReadOnlyList<Turn> turns)
    {
        var text = new StringBuilder(template.System + template.Separator);
        var trained = new List<(int Start, int End)>();
        for (var i = 0; i < turns.Count; i++)
        {
            var answer = i % 2 == 1;
            text.Append(answer ? template.AssistantRole : template.UserRole).Append(':');
            if (turns[i].Value.Length == 0)
            {
                continue;
            }

            var start = text.Length;
            text.Append(' ').Append(turns[i].Value).Append(answer ? template.Separator2 : template.Separator);
            if (answer)
            {
                trained.Add((start, text.Length));
            }
        }

        return new PromptText(text.ToString(), trained);
    }
}
