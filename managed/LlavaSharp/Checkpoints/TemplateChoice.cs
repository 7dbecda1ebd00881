using LlavaSharp.Templates;

namespace LlavaSharp.Checkpoints;

/// <summary>The conversation template that a model is asked with: the one that the user names, else the one that the model was trained
/// with, else LLaVA's default.</summary>
/// <param name="Template">The template.</param>
/// <param name="Note">A line for the user where the choice is worth one: which template, and why; else null.</param>
public sealed record TemplateChoice(ConversationTemplate Template, string? Note)
{
    /// <summary>Chooses.</summary>
    /// <param name="fields">What is known of the model's training.</param>
    /// <param name="asked">The name that the user gives; null for none.</param>
    /// <exception cref="UserErrorException">There is no template of that name.</exception>
    public static TemplateChoice Make(LlavaFields fields, string? asked)
    {
        string where = fields.TemplateFile is { } file ? $" ({file}: {LlavaFields.TemplateField})" : "";
        ConversationTemplate fallback = ConversationTemplates.Get(ConversationTemplates.DefaultName);
        ConversationTemplate? own = fields.Template is { } name ? ConversationTemplates.Find(name) : null;
        if (asked is not null)
        {
            ConversationTemplate template = ConversationTemplates.Get(asked);
            return new(template, own is null || AreSame(own, template) ? null
                : $"template {template.FullName}, as asked for; the model was trained with {own.FullName}{where}");
        }

        return own is null
            ? new(fallback, fields.Template is null ? null
                : $"template {fallback.FullName}: the model's own, {SafetensorsHeader.Quote(fields.Template)}, is not known here{where}; "
                    + "name another with --template")
            : new(own, AreSame(own, fallback) ? null
                : $"template {own.FullName}: what the model was trained with{where}; --template takes another");
    }

    private static bool AreSame(ConversationTemplate one, ConversationTemplate other) => one with { Name = other.Name } == other;
}
