namespace LlavaSharp.Tokenization;

/// <summary>The part of a tokenizer that differs between kinds of model: a run of text to ids, and ids to text.</summary>
internal interface ITextModel
{
    /// <summary>Ids that the model itself has; added tokens may lie behind.</summary>
    int PieceCount { get; }

    /// <summary>Encodes a run of text in which no special token is left.</summary>
    /// <param name="text">The run, not empty.</param>
    /// <param name="dummyPrefix">Whether a space is put in front; byte-level models know none.</param>
    int[] EncodeRun(string text, bool dummyPrefix);

    /// <summary>The text of ids.</summary>
    /// <param name="ids">Ids; those that are neither pieces nor added tokens are skipped.</param>
    /// <param name="addedText">What an added token contributes: its text, nothing if it is special; null for an id that is none.</param>
    string Decode(ReadOnlySpan<int> ids, Func<int, string?> addedText);

    /// <summary>How a token is spelled in the vocabulary; null for an id that the model does not have.</summary>
    string? Spelling(int id);
}
