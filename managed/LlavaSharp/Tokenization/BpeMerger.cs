using System.Runtime.InteropServices;
using System.Text;

namespace LlavaSharp.Tokenization;

/// <summary>
/// SentencePiece's BPE encoding: characters are symbols; of all neighbours that join to a piece, the pair with the
/// highest score joins first, the leftmost one among equals, until none is left. A character without a piece becomes bytes.
/// </summary>
/// <remarks>
/// Microsoft.ML.Tokenizers 2.0.1 takes the rightmost pair among equals (so "sss" gives s|ss where SentencePiece gives
/// ss|s), which is why the merges are done here.
/// </remarks>
internal sealed class BpeMerger
{
    private readonly Dictionary<string, int> _ids;

    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;

    private readonly float[] _scores;

    private readonly int _firstByteId;

    /// <summary>Indexes the pieces that text can become.</summary>
    /// <param name="pieces">The model's pieces; only normal ones are reached by merging.</param>
    /// <param name="firstByteId">Id of <c>&lt;0x00&gt;</c>.</param>
    public BpeMerger(List<SentencePiece> pieces, int firstByteId)
    {
        _firstByteId = firstByteId;
        _scores = [.. pieces.Select(p => p.Score)];
        _ids = new Dictionary<string, int>(pieces.Count, StringComparer.Ordinal);
        for (var id = 0; id < pieces.Count; id++)
        {
            if (pieces[id].Type == SentencePieceType.Normal)
            {
                _ids.Add(pieces[id].Text, id);
            }
        }

        _lookup = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <summary>Encodes a run of text whose spaces are marked already.</summary>
    public int[] Encode(string run)
    {
        var symbols = Split(run);
        var queue = new PriorityQueue<Pair, (float NegativeScore, int Left)>();
        for (var right = 1; right < symbols.Length; right++)
        {
            Offer(run, symbols, queue, right - 1, right);
        }

        while (queue.TryDequeue(out var pair, out _))
        {
            ref var left = ref symbols[pair.Left];
            ref var right = ref symbols[pair.Right];

            // A pair is stale when either side has merged meanwhile: then the lengths no longer add up.
            if (left.Length == 0 || right.Length == 0 || left.Length + right.Length != pair.Length)
            {
                continue;
            }

            left.Length = pair.Length;
            left.Next = right.Next;
            right.Length = 0;
            if (left.Next >= 0)
            {
                symbols[left.Next].Previous = pair.Left;
                Offer(run, symbols, queue, pair.Left, left.Next);
            }

            if (left.Previous >= 0)
            {
                Offer(run, symbols, queue, left.Previous, pair.Left);
            }
        }

        return Ids(run, symbols);
    }

    /// <summary>One symbol a code point.</summary>
    private static Symbol[] Split(string run)
    {
        var symbols = new List<Symbol>(run.Length);
        for (var start = 0; start < run.Length;)
        {
            Rune.DecodeFromUtf16(run.AsSpan(start), out _, out var length);
            symbols.Add(new Symbol { Start = start, Length = length, Previous = symbols.Count - 1, Next = symbols.Count + 1 });
            start += length;
        }

        if (symbols.Count > 0)
        {
            CollectionsMarshal.AsSpan(symbols)[^1].Next = -1;
        }

        return [.. symbols];
    }

    private void Offer(string run, Symbol[] symbols, PriorityQueue<Pair, (float NegativeScore, int Left)> queue, int left, int right)
    {
        var length = symbols[left].Length + symbols[right].Length;
        if (_lookup.TryGetValue(run.AsSpan(symbols[left].Start, length), out var id))
        {
            queue.Enqueue(new Pair(left, right, length), (-_scores[id], left));
        }
    }

    private int[] Ids(string run, Symbol[] symbols)
    {
        var ids = new List<int>(symbols.Length);
        Span<byte> bytes = stackalloc byte[4];
        for (var i = symbols.Length > 0 ? 0 : -1; i >= 0; i = symbols[i].Next)
        {
            var text = run.AsSpan(symbols[i].Start, symbols[i].Length);
            if (_lookup.TryGetValue(text, out var id))
            {
                ids.Add(id);
                continue;
            }

            // Only single characters get here. Half a surrogate pair decodes to U+FFFD.
            Rune.DecodeFromUtf16(text, out var rune, out _);
            var count = rune.EncodeToUtf8(bytes);
            foreach (var b in bytes[..count])
            {
                ids.Add(_firstByteId + b);
            }
        }

        return [.. ids];
    }

    private readonly record struct Pair(int Left, int Right, int Length);

    private struct Symbol
    {
        public int Start;
        public int Length;
        public int Previous;
        public int Next;
    }
}
