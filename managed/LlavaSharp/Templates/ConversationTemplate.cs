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

    /// <summary>Follows the system text and the human's turns (every turn, in <see cref="SeparatorStyle.Plain"/>).</summary>
    public required string Separator { get; init; }

    /// <summary>Follows the assistant's turns; null when <see cref="Separator"/> does.</summary>
    public string? Separator2 { get; init; }

    /// <summary>How turns are joined.</summary>
    public required SeparatorStyle Style { get; init; }

    /// <summary>The family whose masking rules apply; a version with <c>mmtag</c> wraps images in tags.</summary>
    public required string Version { get; init; }
}
