using System.Globalization;
using System.Text;

namespace LlavaSharp.Tokenization;

/// <summary>
/// SentencePiece's BPE as tokenizer.json has it: spaces are marks (U+2581), pairs of neighbours merge in the order of a list, and a
/// character without a piece becomes its UTF-8 bytes. Ids are those of Hugging Face's tokenizers.
/// </summary>
internal sealed class SpacedBpeEncoder : ITextModel, IBpeTable
{
    private readonly BpeVocabulary _vocabulary;

    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;

    private readonly int[] _byteIds;

    private readonly Dictionary<int, byte> _byteOf = [];

    /// <summary>Takes a vocabulary over.</summary>
    /// <param name="vocabulary">Pieces and merges.</param>
    /// <param name="space">Where a mark is added.</param>
    public SpacedBpeEncoder(BpeVocabulary vocabulary, SpaceRule space)
    {
        (_vocabulary, Space) = (vocabulary, space);
        _lookup = vocabulary.Ids.GetAlternateLookup<ReadOnlySpan<char>>();
        _byteIds = [.. Enumerable.Range(0, 256).Select(b =>
            vocabulary.Ids.GetValueOrDefault(string.Create(CultureInfo.InvariantCulture, $"<0x{b:X2}>"), -1))];
        for (var b = 0; b < _byteIds.Length; b++)
        {
            if (_byteIds[b] >= 0)
            {
                _byteOf[_byteIds[b]] = (byte)b;
            }
        }
    }

    /// <summary>Where a mark is added.</summary>
    public SpaceRule Space { get; }

    /// <summary>Whether each mark begins a word that merges stay within (Metaspace's <c>split</c>).</summary>
    public bool SplitsWords { get; init; }

    /// <summary>Whether a decoded text loses the space that it begins with.</summary>
    public bool StripsSpace { get; init; }

    /// <summary>Whether a character without a piece becomes bytes.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>Id of the unknown piece; -1 for none: then what has no piece is left out.</summary>
    public int UnknownId { get; init; } = -1;

    /// <summary>Whether neighbouring unknown characters become one unknown piece.</summary>
    public bool FusesUnknown { get; init; }

    /// <summary>Whether a word that is a piece is not merged at all (<c>ignore_merges</c>).</summary>
    public bool WholeWords { get; init; }

    /// <summary>The pieces and merges.</summary>
    public BpeVocabulary Vocabulary => _vocabulary;

    /// <inheritdoc/>
    public int PieceCount => _vocabulary.PieceCount;

    /// <inheritdoc/>
    public string? Spelling(int id) => _vocabulary.Spelling(id);

    /// <summary>Whether a piece is one of the 256 that stand for bytes.</summary>
    public bool IsByte(int id) => ByteFallback && _byteOf.ContainsKey(id);

    /// <inheritdoc/>
    public int[] EncodeRun(string text, bool dummyPrefix)
    {
        var marked = text.Replace(' ', BpeWords.SpaceMark);
        if (dummyPrefix && Space.Adds && !(Space.UnlessThere && marked[0] == BpeWords.SpaceMark))
        {
            marked = BpeWords.SpaceMark + marked;
        }

        var ids = new List<int>();
        for (var start = 0; start < marked.Length;)
        {
            var next = SplitsWords ? marked.IndexOf(BpeWords.SpaceMark, start + 1) : -1;
            var word = marked[start..(next < 0 ? marked.Length : next)];
            EncodeWord(word, ids);
            start += word.Length;
        }

        return [.. ids];
    }

    /// <inheritdoc/>
    public string Decode(ReadOnlySpan<int> ids, Func<int, string?> addedText)
    {
        var text = new PieceText(wholeRuns: true);
        foreach (var id in ids)
        {
            if (addedText(id) is { } added)
            {
                if (added.Length > 0)
                {
                    text.Add(added);
                }
            }
            else if (ByteFallback && _byteOf.TryGetValue(id, out var b))
            {
                text.Add(b);
            }
            else if (id != UnknownId && Spelling(id) is { } piece)
            {
                text.Add(piece);
            }
        }

        return text.Take(StripsSpace);
    }

    int IBpeTable.Single(ReadOnlySpan<char> text) => _lookup.TryGetValue(text, out var id) ? id : -1;

    int IBpeTable.Join(int left, int right, ReadOnlySpan<char> text, out double rank) => _vocabulary.Join(left, right, out rank);

    private void EncodeWord(string word, List<int> ids)
    {
        if (WholeWords && _vocabulary.Ids.TryGetValue(word, out var whole))
        {
            ids.Add(whole);
            return;
        }

        var unknown = false;
        BpeMerger.Encode(this, word, (id, piece) =>
        {
            if (id < 0 && !AddBytes(piece.Span, ids))
            {
                if (UnknownId >= 0 && !(unknown && FusesUnknown))
                {
                    ids.Add(UnknownId);
                }

                unknown = true;
                return;
            }

            unknown = false;
            if (id >= 0)
            {
                ids.Add(id);
            }
        });
    }

    /// <summary>Adds the bytes of a character, if each has a piece. Half a surrogate pair is U+FFFD.</summary>
    private bool AddBytes(ReadOnlySpan<char> character, List<int> ids)
    {
        Rune.DecodeFromUtf16(character, out var rune, out _);
        Span<byte> bytes = stackalloc byte[4];
        bytes = bytes[..rune.EncodeToUtf8(bytes)];
        foreach (var b in bytes)
        {
            if (!ByteFallback || _byteIds[b] < 0)
            {
                return false;
            }
        }

        foreach (var b in bytes)
        {
            ids.Add(_byteIds[b]);
        }

        return true;
    }
}
