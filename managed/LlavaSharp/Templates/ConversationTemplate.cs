using LlavaSharp.Data;

namespace LlavaSharp.Templates;

/// <summary>The strings that turn a conversation into a prompt. A checkpoint must be asked with the template it was trained with.</summary>
public sealed record ConversationTemplate
{
    /// <summary>The name it was asked for by.</summary>
    public required string Name { get; init; }

    /// <summary>Text at the start of every prompt.</summary>
    public required string System { get; init; }

    /// <summary>What the human is called.</summary>
    public required string UserRole { get; init; }

    /// <summary>What the model is called.</summary>
    public required string AssistantRole { get; init; }

    /// <summary>Follows the system text and the human's turns; where <see cref="Separator2"/> is null, every turn.</summary>
    public required string Separator { get; init; }

    /// <summary>Follows the assistant's turns; null when <see cref="Separator"/> does.</summary>
    public string? Separator2 { get; init; }

    /// <summary>How turns are joined.</summary>
    public required SeparatorStyle Style { get; init; }

    /// <summary>The family whose masking rules apply; a version with <c>mmtag</c> wraps images in tags.</summary>
    public required string Version { get; init; }

    /// <summary>Whose registry it is from: the two differ in rules, too.</summary>
    public TemplateDialect Dialect { get; init; }

    /// <summary>A made-up first exchange that every question to a model starts with; training does not use it.</summary>
    public IReadOnlyList<Turn> Examples { get; init; } = [];

    /// <summary>Whether ids start with the begin mark, where the tokenizer has one. ITREX's ChatML path takes it off.</summary>
    public bool KeepsBos => Version != "mpt_oh";

    /// <summary>Whether a sample must be human, gpt, human, gpt…; the oldest path takes any order.</summary>
    public bool Alternates => Style != SeparatorStyle.Single;

    /// <summary>The mark that ends an answer, and with it a generation; null where a line break or nothing does.</summary>
    public string? EndMark => Style switch
    {
        SeparatorStyle.Two or SeparatorStyle.Llama2 => Separator2,
        SeparatorStyle.Mpt => Separator,
        _ => null,
    };

    /// <summary>The template with another system text: what a <c>system</c> turn of a ShareGPT item asks for.</summary>
    /// <param name="text">The text, without the format's own opening.</param>
    /// <returns>The template; captions have no system text, so <c>plain</c> stays as it is.</returns>
    public ConversationTemplate WithSystem(string text) => Style switch
    {
        SeparatorStyle.Plain => this,
        SeparatorStyle.Mpt => this with { System = System[..(System.IndexOf('\n', StringComparison.Ordinal) + 1)] + text },
        _ => this with { System = text },
    };
}
