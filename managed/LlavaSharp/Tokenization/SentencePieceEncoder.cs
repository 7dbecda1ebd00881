using System.Globalization;
using System.Text;

namespace LlavaSharp.Tokenization;

/// <summary>
/// SentencePiece's BPE with byte fallback: neighbours join to a piece, the highest score first. A character without a
/// piece becomes its UTF-8 bytes.
/// </summary>
internal sealed class SentencePieceEncoder : ITextModel, IBpeTable
{
    private const int BpeModel = 2;

    private readonly SentencePieceModel _model;

    private readonly Dictionary<string, int> _ids;

    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;

    /// <summary>Id of the first byte piece, <c>&lt;0x00&gt;</c>; the 256 lie in order.</summary>
    private readonly int _firstByteId;

    /// <summary>Checks and indexes a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="name">What messages call it.</param>
    /// <param name="added">Added tokens; a piece whose id is another token's is never made from text.</param>
    /// <exception cref="UserErrorException">It asks for what is not implemented.</exception>
    public SentencePieceEncoder(SentencePieceModel model, string name, IReadOnlyList<AddedToken> added)
    {
        _model = model;
        _firstByteId = Check(model, name);
        _ids = new Dictionary<string, int>(model.Pieces.Count, StringComparer.Ordinal);
        var renamed = added.Where(t => t.Id < PieceCount && model.Pieces[t.Id].Text != t.Text).Select(t => t.Id).ToHashSet();
        for (var id = 0; id < model.Pieces.Count; id++)
        {
            if (model.Pieces[id].Type == SentencePieceType.Normal && !renamed.Contains(id))
            {
                _ids.Add(model.Pieces[id].Text, id);
            }
        }

        _lookup = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <summary>The model.</summary>
    public SentencePieceModel Model => _model;

    /// <inheritdoc/>
    public int PieceCount => _model.Pieces.Count;

    /// <inheritdoc/>
    public string? Spelling(int id) => (uint)id < (uint)PieceCount ? _model.Pieces[id].Text : null;

    /// <inheritdoc/>
    public int[] EncodeRun(string text, bool dummyPrefix)
    {
        var marked = text.Replace(' ', BpeWords.SpaceMark);
        var ids = new List<int>();
        BpeMerger.Encode(this, dummyPrefix && _model.AddDummyPrefix ? BpeWords.SpaceMark + marked : marked, (id, piece) =>
        {
            if (id >= 0)
            {
                ids.Add(id);
                return;
            }

            // Half a surrogate pair decodes to U+FFFD.
            Rune.DecodeFromUtf16(piece.Span, out var rune, out _);
            Span<byte> bytes = stackalloc byte[4];
            foreach (var b in bytes[..rune.EncodeToUtf8(bytes)])
            {
                ids.Add(_firstByteId + b);
            }
        });
        return [.. ids];
    }

    /// <inheritdoc/>
    public string Decode(ReadOnlySpan<int> ids, Func<int, string?> addedText)
    {
        var text = new PieceText(wholeRuns: false);
        foreach (var id in ids)
        {
            var piece = (uint)id < (uint)PieceCount ? _model.Pieces[id] : default;
            if (addedText(id) is { } added)
            {
                if (added.Length > 0)
                {
                    text.Add(added);
                }
            }
            else if (piece.Type == SentencePieceType.Byte)
            {
                text.Add((byte)(id - _firstByteId));
            }
            else if (piece.Type == SentencePieceType.Normal)
            {
                text.Add(piece.Text);
            }
        }

        return text.Take(_model.AddDummyPrefix);
    }

    int IBpeTable.Single(ReadOnlySpan<char> text) => _lookup.TryGetValue(text, out var id) ? id : -1;

    int IBpeTable.Join(int left, int right, ReadOnlySpan<char> text, out double rank)
    {
        var found = _lookup.TryGetValue(text, out var id);
        rank = found ? -_model.Pieces[id].Score : 0;
        return found ? id : -1;
    }

    /// <summary>Refuses what would give other ids than SentencePiece. Returns the id of <c>&lt;0x00&gt;</c>.</summary>
    private static int Check(SentencePieceModel model, string name)
    {
        var pieces = model.Pieces;
        Require(pieces.Count > 0, "has no pieces; the file is empty or cut short");
        Require(model.ModelType == BpeModel, $"has model_type {model.ModelType}; only BPE (2) is implemented");
        Require(model.ByteFallback, "has no byte fallback; LLaMA-style models have it");
        Require(model.CharsMapBytes == 0, $"normalises by \"{model.NormalizerName}\"; only identity is implemented");
        Require(!model.RemoveExtraWhitespaces, "removes extra spaces, which is not implemented");
        Require(model.EscapeWhitespaces, "does not escape spaces, which is not implemented");
        Require(!model.WhitespaceAsSuffix, "puts spaces after words, which is not implemented");
        CheckSpecial(model.UnknownId, "unk_id", SentencePieceType.Unknown);
        CheckSpecial(model.BosId, "bos_id", SentencePieceType.Control);
        CheckSpecial(model.EosId, "eos_id", SentencePieceType.Control);
        var other = pieces.FindIndex(p => p.Type is SentencePieceType.UserDefined or SentencePieceType.Unused);
        Require(other < 0, $"has a user-defined or unused piece (id {other}), which is not implemented");
        var known = new HashSet<string>(pieces.Count, StringComparer.Ordinal);
        for (var id = 0; id < pieces.Count; id++)
        {
            Require(pieces[id].Type is > SentencePieceType.None and <= SentencePieceType.Byte, $"has piece {id} of no known type");
            Require(pieces[id].Text.Length > 0 && known.Add(pieces[id].Text), $"has piece {id} empty or twice");
            Require(float.IsFinite(pieces[id].Score), $"has piece {id} with score {pieces[id].Score}");
        }

        var first = pieces.FindIndex(p => p.Type == SentencePieceType.Byte);
        Require(first >= 0 && first + 256 <= pieces.Count, "lacks the 256 byte pieces");
        for (var b = 0; b < 256; b++)
        {
            var expected = string.Create(CultureInfo.InvariantCulture, $"<0x{b:X2}>");
            Require(pieces[first + b] is { Type: SentencePieceType.Byte } p && p.Text == expected, $"lacks {expected} at id {first + b}");
        }

        return first;

        void Require(bool condition, string problem)
        {
            if (!condition)
            {
                throw new UserErrorException($"{name}: this SentencePiece model {problem}");
            }
        }

        void CheckSpecial(int id, string field, SentencePieceType type) => Require(
            (uint)id < (uint)pieces.Count && pieces[id].Type == type,
            $"has {field} {id}, which is no such piece of its {pieces.Count}");
    }
}
