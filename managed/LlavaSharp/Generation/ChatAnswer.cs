namespace LlavaSharp.Generation;

/// <summary>An answer with the ids behind it.</summary>
/// <param name="InputIds">The prompt; -200 where the image goes.</param>
/// <param name="OutputIds">The answer, its end mark included if it has one.</param>
/// <param name="Text">The answer's text, without spaces around it.</param>
public sealed record ChatAnswer(int[] InputIds, int[] OutputIds, string Text);
