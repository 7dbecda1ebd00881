using LlavaSharp.Data;
using LlavaSharp.Imaging;

namespace LlavaSharp.Generation;

/// <summary>What a model is asked.</summary>
/// <param name="Turns">The conversation so far, the human's question last.</param>
/// <param name="Image">The image; null for text alone.</param>
public sealed record Question(IReadOnlyList<Turn> Turns, PreparedImage? Image)
{
    /// <summary>Asks one thing.</summary>
    /// <param name="prompt">The question.</param>
    /// <param name="image">The image; null for text alone.</param>
    /// <returns>The question.</returns>
    public static Question Ask(string prompt, PreparedImage? image) => new([new Turn("human", prompt)], image);
}
