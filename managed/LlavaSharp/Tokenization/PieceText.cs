using System.Buffers;
using System.Text;

namespace LlavaSharp.Tokenization;

/// <summary>Puts the text of SentencePiece-like pieces together: bytes are joined to characters, marks become spaces.</summary>
/// <param name="wholeRuns">What becomes of bytes that are no UTF-8: true makes every byte of their run U+FFFD, as Hugging Face's
/// tokenizers does; false only those that are at fault, as SentencePiece does.</param>
internal sealed class PieceText(bool wholeRuns)
{
    private readonly ArrayBufferWriter<byte> _bytes = new();

    private readonly StringBuilder _text = new();

    /// <summary>Appends a piece or an added token.</summary>
    public void Add(string text)
    {
        FlushBytes();
        _text.Append(text);
    }

    /// <summary>Appends a byte.</summary>
    public void Add(byte value) => _bytes.Write([value]);

    /// <summary>The text.</summary>
    /// <param name="stripsSpace">Whether the space that it begins with is left out.</param>
    public string Take(bool stripsSpace)
    {
        FlushBytes();
        _text.Replace(BpeWords.SpaceMark, ' ');
        return stripsSpace && _text is [' ', ..] ? _text.ToString(1, _text.Length - 1) : _text.ToString();
    }

    private void FlushBytes()
    {
        if (wholeRuns && !IsValid(_bytes.WrittenSpan))
        {
            _text.Append('\ufffd', _bytes.WrittenCount);
            _bytes.Clear();
        }

        for (var rest = _bytes.WrittenSpan; rest.Length > 0;)
        {
            var valid = Rune.DecodeFromUtf8(rest, out var rune, out var consumed) == OperationStatus.Done;
            _text.Append((valid ? rune : Rune.ReplacementChar).ToString());
            rest = rest[(valid ? consumed : 1)..];
        }

        _bytes.Clear();
    }

    private static bool IsValid(ReadOnlySpan<byte> bytes) => System.Text.Unicode.Utf8.IsValid(bytes);
}
