namespace LlavaSharp.Field.Tests;

/// <summary>A folder as users have it, and what each verb does with it.</summary>
/// <param name="Name">What is different from the plain folder.</param>
/// <param name="Edit">Makes it so.</param>
internal sealed record Variant(string Name, Action<FieldFolder> Edit)
{
    /// <summary>Words of the line that refuses it, all of which are there; null where it opens.</summary>
    public string[]? Refused { get; init; }

    /// <summary>Words of a line on the error stream of a verb that opens it; empty for no such line.</summary>
    public string[] Warned { get; init; } = [];

    /// <summary>Verbs that do not read what is different, and so take it as the plain folder.</summary>
    public string[] Unread { get; init; } = [];

    /// <summary>Whether it computes what the plain folder computes.</summary>
    public bool SameIds { get; init; } = true;
}
