using System.Text;

namespace LlavaSharp.Templates;

/// <summary>Writes a prompt turn by turn and notes where the answers lie: from the space before an answer, where the format
/// has one, to behind the separator that closes it.</summary>
internal sealed class PromptJoiner
{
    private readonly ConversationTemplate _template;

    private readonly StringBuilder _text = new();

    private readonly List<TrainedStretch> _trained = [];

    public PromptJoiner(ConversationTemplate template)
    {
        _template = template;
        _text.Append(template.Style == SeparatorStyle.Llama2 ? "" : template.System);
        _text.Append(template.Style is SeparatorStyle.Llama2 or SeparatorStyle.Plain ? "" : template.Separator);
    }

    /// <summary>Appends a turn.</summary>
    public void Add(string value, bool answer)
    {
        var role = answer ? _template.AssistantRole : _template.UserRole;
        var closing = answer ? _template.Separator2 ?? _template.Separator : _template.Separator;
        switch (_template.Style)
        {
            case SeparatorStyle.Llama2:
                AddInstruction(value, answer);
                break;
            case SeparatorStyle.Mpt:
                Add(role, value, value.Length > 0 ? closing : "", answer);
                break;
            case SeparatorStyle.Plain:
                Add("", value, value.Length > 0 ? closing : "", answer);
                break;
            default:
                Add(role + ":", value.Length > 0 ? " " + value : "", value.Length > 0 ? closing : "", answer);
                break;
        }
    }

    public PromptText Build() => new(_text.ToString(), _trained);

    /// <summary>
    /// Llama 2: the system text goes into the first question. The separator before the very first question falls off again
    /// in the original, which strips the prompt's start of its characters.
    /// </summary>
    private void AddInstruction(string value, bool answer)
    {
        var first = _text.Length == 0;
        if (value.Length == 0)
        {
            return;
        }

        if (answer)
        {
            Add("", " " + value, " " + _template.Separator2, answer: true);
            return;
        }

        // Upstream leaves an empty system text out; ITREX writes its brackets all the same.
        var system = first && (_template.System.Length > 0 || _template.Dialect == TemplateDialect.Itrex)
            ? $"<<SYS>>\n{_template.System}\n<</SYS>>\n\n"
            : "";
        Add(first ? "" : _template.Separator, $"[INST] {system}{value} [/INST]", "", answer: false);
    }

    private void Add(string opening, string value, string closing, bool answer)
    {
        var start = _text.Append(opening).Length;
        _text.Append(value).Append(closing);
        if (answer && _text.Length > start)
        {
            _trained.Add(new(start, _text.Length));
        }
    }
}
