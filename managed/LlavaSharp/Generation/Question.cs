using LlavaSharp.Data;

namespace LlavaSharp.Generation;

/// <summary>What a model is asked.</summary>
/// <param name="Turns">The conversation so far, the human's question last.</param>
/// <param name="Pixels">[3, S, S] normalised pixels of the image; null for text alone.</param>
public sealed record Question(IReadOnlyList<Turn> Turns, float[]? Pixels)
{
    /// <summary>Asks one thing.</summary>
    /// <param name="prompt">The question.</param>
    /// <param name="pixels">[3, S, S] normalised pixels; null for text alone.</param>
    /// <returns>The question.</returns>
    public static Question Ask(string prompt, float[]? pixels) => new([new Turn("human", prompt)], pixels);
}
