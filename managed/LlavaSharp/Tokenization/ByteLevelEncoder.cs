using System.Buffers;
using System.Text;

namespace LlavaSharp.Tokenization;

/// <summary>
/// Byte-level BPE (GPT-2's, as Llama 3 and Qwen use it): text is cut into words, each word's UTF-8 bytes are spelled with 256
/// visible characters, and pairs of neighbours merge in the order of a list. Every text has ids; there is no unknown piece.
/// </summary>
internal sealed class ByteLevelEncoder : ITextModel, IBpeTable
{
    private const int Bytes = 256;

    /// <summary>The visible character of each byte.</summary>
    private static readonly char[] Visible = MakeVisible();

    private static readonly Dictionary<char, byte> Hidden = Visible.Select((c, b) => (c, b)).ToDictionary(p => p.c, p => (byte)p.b);

    private readonly BpeVocabulary _vocabulary;

    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;

    private readonly PreTokenizer _words;

    private readonly bool _wholeWords;

    /// <summary>Takes a vocabulary over.</summary>
    /// <param name="vocabulary">Pieces, spelled with visible characters, and merges.</param>
    /// <param name="words">How text is cut into words.</param>
    /// <param name="wholeWords">Whether a word that is a piece is not merged at all (<c>ignore_merges</c>).</param>
    public ByteLevelEncoder(BpeVocabulary vocabulary, PreTokenizer words, bool wholeWords)
    {
        (_vocabulary, _words, _wholeWords) = (vocabulary, words, wholeWords);
        _lookup = vocabulary.Ids.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <inheritdoc/>
    public int PieceCount => _vocabulary.PieceCount;

    /// <summary>The byte that has no piece of its own, or -1: such a vocabulary could not spell every text.</summary>
    public static int MissingByte(Dictionary<string, int> vocabulary) =>
        Array.FindIndex(Visible, c => !vocabulary.ContainsKey(c.ToString()));

    /// <inheritdoc/>
    public string? Spelling(int id) => _vocabulary.Spelling(id);

    /// <inheritdoc/>
    public int[] EncodeRun(string text, bool dummyPrefix)
    {
        var ids = new List<int>(text.Length / 3);
        foreach (var word in _words.Split(text))
        {
            var visible = Spell(word);
            if (_wholeWords && _vocabulary.Ids.TryGetValue(visible, out var whole))
            {
                ids.Add(whole);
            }
            else
            {
                BpeMerger.Encode(this, visible, (id, _) => ids.Add(id));
            }
        }

        return [.. ids];
    }

    /// <inheritdoc/>
    public string Decode(ReadOnlySpan<int> ids, Func<int, string?> addedText)
    {
        var bytes = new ArrayBufferWriter<byte>();
        foreach (var id in ids)
        {
            if (addedText(id) is { } added)
            {
                bytes.Write(Encoding.UTF8.GetBytes(added));
                continue;
            }

            foreach (var c in Spelling(id) ?? "")
            {
                if (Hidden.TryGetValue(c, out var b))
                {
                    bytes.Write([b]);
                }
            }
        }

        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    int IBpeTable.Single(ReadOnlySpan<char> text) => _lookup[text];

    int IBpeTable.Join(int left, int right, ReadOnlySpan<char> text, out double rank) => _vocabulary.Join(left, right, out rank);

    private static string Spell(string word)
    {
        var bytes = Encoding.UTF8.GetBytes(word);
        return string.Create(bytes.Length, bytes, (span, from) =>
        {
            for (var i = 0; i < span.Length; i++)
            {
                span[i] = Visible[from[i]];
            }
        });
    }

    /// <summary>GPT-2's table: printable Latin-1 stands for itself, the other bytes follow from U+0100 on.</summary>
    private static char[] MakeVisible()
    {
        var next = (char)Bytes;
        return [.. Enumerable.Range(0, Bytes).Select(b => b is (>= '!' and <= '~') or (>= '¡' and <= '¬') or >= '®' ? (char)b : next++)];
    }
}
