namespace LlavaSharp.Data;

/// <summary>One sample of a LLaVA data file.</summary>
/// <param name="Id">The sample's own name, if it has one; a number is given as it is written.</param>
/// <param name="Image">Path of the picture below the image folder; null for a text-only sample.</param>
/// <param name="Conversations">The turns as the file has them.</param>
public sealed record Sample(string? Id, string? Image, IReadOnlyList<Turn> Conversations);
