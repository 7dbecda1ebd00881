using System.Text.RegularExpressions;

namespace LlavaSharp.Tokenization;

/// <summary>One step that cuts words.</summary>
/// <param name="Pattern">What is cut at; null cuts nothing.</param>
/// <param name="Behavior">What becomes of the matches.</param>
/// <param name="Invert">Whether matches and what lies between them change places.</param>
/// <param name="PrefixSpace">Whether a word that begins with no space gets one first.</param>
internal sealed record PreTokenizerStep(
    Regex? Pattern, SplitBehavior Behavior = SplitBehavior.Isolated, bool Invert = false, bool PrefixSpace = false);

/// <summary>What becomes of a match, by the names of tokenizer.json.</summary>
internal enum SplitBehavior
{
    /// <summary>It is a word of its own.</summary>
    Isolated,

    /// <summary>It is left out.</summary>
    Removed,

    /// <summary>It ends the word before it.</summary>
    MergedWithPrevious,

    /// <summary>It begins the word behind it.</summary>
    MergedWithNext,

    /// <summary>As isolated, but neighbouring matches are one word.</summary>
    Contiguous,
}
