using LlavaSharp.Data;

namespace LlavaSharp.Templates;

/// <summary>A prompt as one string, with the stretches of it that are trained.</summary>
/// <param name="Text">The whole prompt.</param>
/// <param name="Trained">Stretches, ascending, that do not overlap.</param>
internal sealed record PromptText(string Text, IReadOnlyList<TrainedStretch> Trained)
{
    /// <summary>The mark of an image's place in a text.</summary>
    public const string ImageMark = "<image>";

    /// <summary>The marks around it that <c>--mm_use_im_start_end</c> asks for.</summary>
    public const string ImageStart = "<im_start>", ImageEnd = "<im_end>";

    /// <summary>
    /// The recipe's rewriting of a turn of a sample with one image: the mark moves to the front of its turn, several marks
    /// become one, followed by a newline; <c>mmtag</c> templates wrap it in tags. With several images every mark is
    /// an image of its own and stays where it is.
    /// </summary>
    public static Turn PlaceImage(ConversationTemplate template, Turn turn, bool several = false, bool startEnd = false)
    {
        if (!turn.Value.Contains(ImageMark, StringComparison.Ordinal))
        {
            return turn;
        }

        var value = turn.Value;
        if (!several)
        {
            value = PythonText.Strip($"{ImageMark}\n{PythonText.Strip(value.Replace(ImageMark, "", StringComparison.Ordinal))}");
        }

        var mark = startEnd ? ImageStart + ImageMark + ImageEnd : ImageMark;
        mark = template.Version.Contains("mmtag", StringComparison.Ordinal) ? $"<Image>{mark}</Image>" : mark;
        return turn with { Value = value.Replace(ImageMark, mark, StringComparison.Ordinal) };
    }

    /// <summary>The text that a sample is trained as.</summary>
    public static PromptText ForTraining(ConversationTemplate template, IReadOnlyList<Turn> turns) =>
        template.Style == SeparatorStyle.Single ? SignalLines(template, turns) : Join(template, turns);

    /// <summary>
    /// Joins turns that alternate, the human's first. An empty text is no text: the role's name stays alone, or with
    /// <c>[INST]</c> nothing.
    /// </summary>
    public static PromptText Join(ConversationTemplate template, IReadOnlyList<Turn> turns)
    {
        var joiner = new PromptJoiner(template);
        for (var i = 0; i < turns.Count; i++)
        {
            joiner.Add(turns[i].Value, answer: i % 2 == 1);
        }

        return joiner.Build();
    }

    /// <summary>
    /// The oldest path: every turn is a line <c>### Role: text</c>, and <c>### </c> ends the whole. Trained is what the model
    /// says, and the signal with which the human's turns begin (two tokens of it): that is where the model stops.
    /// </summary>
    private static PromptText SignalLines(ConversationTemplate template, IReadOnlyList<Turn> turns)
    {
        const string Signal = "### ";
        var text = new System.Text.StringBuilder(template.System + "\n\n");
        var trained = new List<TrainedStretch>();
        foreach (var (from, value) in turns)
        {
            var (start, human) = (text.Length, from == "human");
            text.Append(Signal).Append(human ? template.UserRole : template.AssistantRole).Append(": ").Append(value).Append('\n');
            trained.Add(new(start, text.Length, human ? 2 : int.MaxValue));
        }

        trained.Add(new(text.Length, text.Length + Signal.Length));
        return new(text.Append(Signal).ToString(), trained);
    }
}
