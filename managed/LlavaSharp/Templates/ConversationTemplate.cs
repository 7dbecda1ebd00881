using LlavaSharp.Data;

namespace LlavaSharp.Templates;

/// <summary>The strings that turn a conversation into a prompt. A checkpoint must be asked with the template it was trained with.</summary>
public sealed record ConversationTemplate
{
    /// <summary>Its name in its registry.</summary>
    public required string Name { get; init; }

    /// <summary>The name that means this template in every verb: <see cref="Name"/>, for Intel's with <c>itrex_</c> before it.</summary>
    public string FullName => Dialect == TemplateDialect.Itrex ? ConversationTemplates.ItrexPrefix + Name : Name;

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

    /// <summary>The text that ends an answer: the separator that closes the model's turns in training. Generation stops at it and cuts
    /// it off, whether it is one token or several.</summary>
    public string StopText => Separator2 ?? Separator;

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
