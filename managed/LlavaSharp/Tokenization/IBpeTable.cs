namespace LlavaSharp.Tokenization;

/// <summary>Which neighbours byte pair encoding joins.</summary>
internal interface IBpeTable
{
    /// <summary>The id of a text of one character; negative when it has no piece.</summary>
    int Single(ReadOnlySpan<char> text);

    /// <summary>What two neighbours become.</summary>
    /// <param name="left">The left one's id, or negative.</param>
    /// <param name="right">The right one's id, or negative.</param>
    /// <param name="text">Both together.</param>
    /// <param name="rank">Lower ones join first.</param>
    /// <returns>The id, or -1 when they do not join.</returns>
    int Join(int left, int right, ReadOnlySpan<char> text, out double rank);
}
