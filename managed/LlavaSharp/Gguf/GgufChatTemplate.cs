using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using LlavaSharp.Data;
using LlavaSharp.Templates;

namespace LlavaSharp.Gguf;

/// <summary>A conversation template in Jinja, as GGUF files carry it: it makes a list of messages into the prompt that the model was
/// trained with. Without it a server would ask in another form.</summary>
public static class GgufChatTemplate
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The template's text.</summary>
    /// <param name="template">The template, with the tokenizer's end mark.</param>
    /// <returns>Jinja that yields what <see cref="PromptBuilder"/> makes of the same turns; null where <see cref="WhyNot"/> says why
    /// there is none.</returns>
    public static string? Of(ConversationTemplate template) => WhyNot(template) is not null ? null : template.Style switch
    {
        SeparatorStyle.Llama2 => Instructions(template),
        _ => Turns(template),
    };

    /// <summary>Why a template has no such form; null where it has one.</summary>
    /// <param name="template">The template.</param>
    public static string? WhyNot(ConversationTemplate template) => template.Style == SeparatorStyle.Plain
        ? $"{template.FullName} asks with the picture alone, and a chat has questions; name another with --template" : null;

    // The system text, then role and text by turns, each with its separator.
    private static string Turns(ConversationTemplate template)
    {
        bool chatMl = template.Style == SeparatorStyle.Mpt;
        string colon = chatMl ? "" : ":", space = chatMl ? "" : ": ";
        string opening = chatMl ? template.System[..(template.System.IndexOf('\n', StringComparison.Ordinal) + 1)] : "";
        string answered = template.Separator2 ?? template.Separator;
        StringBuilder examples = new();
        foreach (Turn turn in template.Examples)
        {
            bool answer = turn.From != "human";
            examples.Append(answer ? template.AssistantRole : template.UserRole).Append(space).Append(turn.Value)
                .Append(answer ? answered : template.Separator);
        }

        string system = $"{Text(opening)} + system + {Text(template.Separator + examples)}";
        return SetSystem(template.System[opening.Length..])
            + "{{ " + system + " }}"
            + "{% for m in messages %}"
            + "{% if m['role'] == 'user' %}{{ " + $"{Text(template.UserRole + space)} + m['content'] + {Text(template.Separator)}" + " }}"
            + "{% elif m['role'] == 'assistant' %}{{ " + $"{Text(template.AssistantRole + space)} + m['content'] + {Text(answered)}" + " }}"
            + "{% endif %}{% endfor %}"
            + "{% if add_generation_prompt %}{{ " + Text(template.AssistantRole + colon) + " }}{% endif %}";
    }

    // [INST] question [/INST] answer, the system text in the first question's brackets.
    private static string Instructions(ConversationTemplate template)
    {
        string brackets = $"{Text("<<SYS>>\n")} + system + {Text("\n<</SYS>>\n\n")}";
        bool always = template.Dialect == TemplateDialect.Itrex;
        return SetSystem(template.System)
            + "{% set ns = namespace(first=true) %}{% for m in messages %}"
            + "{% if m['role'] == 'user' %}"
            + "{% if ns.first %}{{ '[INST] ' }}"
            + (always ? "{{ " + brackets + " }}" : "{% if system %}{{ " + brackets + " }}{% endif %}")
            + "{% else %}{{ " + Text(template.Separator + "[INST] ") + " }}{% endif %}"
            + "{% set ns.first = false %}{{ m['content'] + ' [/INST]' }}"
            + "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + " + Text(" " + template.Separator2) + " }}"
            + "{% endif %}{% endfor %}";
    }

    private static string SetSystem(string system) =>
        "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% else %}{% set system = "
        + Text(system) + " %}{% endif %}";

    /// <summary>A text as a literal: JSON's escapes are Jinja's, too.</summary>
    private static string Text(string text) => JsonSerializer.Serialize(text, Plain);
}
