namespace LlavaSharp.Tokenization;

/// <summary>One entry of a SentencePiece vocabulary.</summary>
/// <param name="Text">The piece; a space is written U+2581.</param>
/// <param name="Score">Merge priority: of two candidate merges the higher score wins.</param>
/// <param name="Type">What the piece stands for.</param>
internal readonly record struct SentencePiece(string Text, float Score, SentencePieceType Type);

/// <summary>What a piece stands for, numbered as in sentencepiece_model.proto.</summary>
internal enum SentencePieceType
{
    /// <summary>Not a type of the format: a file that says so is refused.</summary>
    None = 0,

    /// <summary>Text.</summary>
    Normal = 1,

    /// <summary>What no piece expresses.</summary>
    Unknown = 2,

    /// <summary>A mark that text never contains, such as end of sentence.</summary>
    Control = 3,

    /// <summary>Text that is never split.</summary>
    UserDefined = 4,

    /// <summary>A slot that encoding does not produce.</summary>
    Unused = 5,

    /// <summary>One byte of UTF-8, spelled <c>&lt;0x00&gt;</c> to <c>&lt;0xFF&gt;</c>.</summary>
    Byte = 6,
}
