using System.Text.Encodings.Web;
using System.Text.Json;
using LlavaSharp.Templates;

namespace LlavaSharp.Gguf;

/// <summary>A conversation template in Jinja, as GGUF files carry it: without it a server would ask the model in a form that it was
/// never trained with.</summary>
public static class GgufChatTemplate
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The template's text; null for a form that a list of messages does not fill (captions, <c>[INST]</c> with the system text
    /// inside a turn, the oldest one).</summary>
    public static string? Of(ConversationTemplate template) => template.Style switch
    {
        SeparatorStyle.Two => Write(
            template, user: template.UserRole + ": ", assistant: template.AssistantRole + ": ", ask: template.AssistantRole + ":"),
        _ => null,
    };

    private static string Write(ConversationTemplate template, string user, string assistant, string ask)
    {
        string separator = Text(template.Separator);
        return "{% if messages[0]['role'] != 'system' %}{{ " + Text(template.System + template.Separator) + " }}{% endif %}"
            + "{% for m in messages %}"
            + "{% if m['role'] == 'system' %}{{ m['content'] + " + separator + " }}"
            + "{% elif m['role'] == 'user' %}{{ " + $"{Text(user)} + m['content'] + {separator}" + " }}"
            + "{% else %}{{ " + $"{Text(assistant)} + m['content'] + {Text(template.Separator2!)}" + " }}{% endif %}{% endfor %}"
            + "{% if add_generation_prompt %}{{ " + Text(ask) + " }}{% endif %}";
    }

    /// <summary>A text as a literal: JSON's escapes are Jinja's, too.</summary>
    private static string Text(string text) => JsonSerializer.Serialize(text, Plain);
}
