namespace LlavaSharp.Tokenization;

/// <summary>Where a SentencePiece-like tokenizer puts a space mark (U+2581) that the text does not have.</summary>
/// <param name="Adds">Whether it puts any.</param>
/// <param name="Scope">Which runs of text get one.</param>
/// <param name="UnlessThere">Whether a run that begins with a space gets none: Metaspace's way. SentencePiece adds it all the same.</param>
/// <param name="MarksFirst">Whether spaces are marks already when normalized added tokens are looked for.</param>
internal sealed record SpaceRule(bool Adds, SpaceScope Scope, bool UnlessThere = false, bool MarksFirst = false)
{
    /// <summary>The rule of tokenizer.model: transformers' slow LlamaTokenizer with its <c>legacy</c> setting.</summary>
    public static SpaceRule SentencePiece(bool adds, bool legacy) => new(adds, legacy ? SpaceScope.EachRun : SpaceScope.FirstRun);

    /// <summary>Whether normalized added tokens are looked for with a mark in front: tokenizers' Prepend changes them, too.</summary>
    public bool PrependsToTokens => Adds && Scope == SpaceScope.EachSection;
}

/// <summary>Which runs of text begin with an added space mark.</summary>
internal enum SpaceScope
{
    /// <summary>The one that a text begins with.</summary>
    FirstRun,

    /// <summary>Every one, also behind an added token.</summary>
    EachRun,

    /// <summary>The one behind an added token that is not normalized, and the first: what a normalizer can do.</summary>
    EachSection,
}
