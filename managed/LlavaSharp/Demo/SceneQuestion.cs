namespace LlavaSharp.Demo;

/// <summary>A question about a scene and the one word that answers it.</summary>
/// <param name="Kind">What it asks about; one of <see cref="SceneWords.Kinds"/>.</param>
/// <param name="Text">The question.</param>
/// <param name="Answer">The answer.</param>
public sealed record SceneQuestion(string Kind, string Text, string Answer);
