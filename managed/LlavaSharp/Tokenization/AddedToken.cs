namespace LlavaSharp.Tokenization;

/// <summary>A token that is recognised in text before anything is split or merged, as Hugging Face's AddedToken.</summary>
/// <param name="Text">How it is spelled.</param>
/// <param name="Id">Its id.</param>
/// <param name="StripLeft">Whether it swallows white space before it (<c>lstrip</c>).</param>
/// <param name="StripRight">Whether it swallows white space behind it (<c>rstrip</c>).</param>
/// <param name="SingleWord">Whether it counts only where no letter, digit or underscore touches it.</param>
/// <param name="Special">Whether decoding leaves it out.</param>
/// <param name="Normalized">Whether it is looked for after the tokens that are not, in text that the normalizer has changed.</param>
internal sealed record AddedToken(
    string Text, int Id, bool StripLeft = false, bool StripRight = false, bool SingleWord = false, bool Special = true,
    bool Normalized = false)
{
    /// <summary>The file that says so, for messages; null for a token that no file names.</summary>
    public string? File { get; init; }

    /// <summary>The id that its tokenizer.json gives it, where the library counts otherwise; null for the same.</summary>
    public int? StatedId { get; init; }

    /// <summary>Whether it swallows white space on either side.</summary>
    public bool Strips => StripLeft || StripRight;
}
