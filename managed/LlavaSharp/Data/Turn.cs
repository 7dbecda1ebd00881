namespace LlavaSharp.Data;

/// <summary>One turn of a conversation.</summary>
/// <param name="From">Who speaks: <c>human</c> or <c>gpt</c>.</param>
/// <param name="Value">What is said; <c>&lt;image&gt;</c> marks the picture's place.</param>
public sealed record Turn(string From, string Value);
