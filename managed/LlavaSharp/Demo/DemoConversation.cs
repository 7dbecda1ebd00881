namespace LlavaSharp.Demo;

/// <summary>A record of the demo's data set.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Image">Path below the image folder, or null for a conversation about nothing to be seen.</param>
/// <param name="Turns">Questions and answers.</param>
public sealed record DemoConversation(string Id, string? Image, IReadOnlyList<(string Question, string Answer)> Turns);
