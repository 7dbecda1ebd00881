using System.Runtime.InteropServices;
using System.Text;

namespace LlavaSharp.Tokenization;

/// <summary>
/// Byte pair encoding: characters are symbols; of all neighbours that join, the pair with the lowest rank joins
/// first, the leftmost one among equals, until none is left.
/// </summary>
/// <remarks>
/// Microsoft.ML.Tokenizers 2.0.1 takes the rightmost pair among equals in SentencePiece models (so "sss" gives s|ss where
/// SentencePiece gives ss|s), which is why the merges are done here.
/// </remarks>
internal static class BpeMerger
{
    /// <summary>Encodes a run of text.</summary>
    /// <param name="table">What joins.</param>
    /// <param name="run">The run.</param>
    /// <param name="piece">Called for each symbol that is left: its id (negative for a character without a piece) and its text.</param>
    public static void Encode<TTable>(TTable table, string run, Action<int, ReadOnlyMemory<char>> piece)
        where TTable : IBpeTable
    {
        var symbols = Split(table, run);
        var queue = new PriorityQueue<Pair, (double Rank, int Left)>();
        for (var right = 1; right < symbols.Length; right++)
        {
            Offer(table, run, symbols, queue, right - 1, right);
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
            left.Id = pair.Id;
            left.Next = right.Next;
            right.Length = 0;
            if (left.Next >= 0)
            {
                symbols[left.Next].Previous = pair.Left;
                Offer(table, run, symbols, queue, pair.Left, left.Next);
            }

            if (left.Previous >= 0)
            {
                Offer(table, run, symbols, queue, left.Previous, pair.Left);
            }
        }

        for (var i = symbols.Length > 0 ? 0 : -1; i >= 0; i = symbols[i].Next)
        {
            piece(symbols[i].Id, run.AsMemory(symbols[i].Start, symbols[i].Length));
        }
    }

    /// <summary>One symbol a code point.</summary>
    private static Symbol[] Split<TTable>(TTable table, string run)
        where TTable : IBpeTable
    {
        var symbols = new List<Symbol>(run.Length);
        for (var start = 0; start < run.Length;)
        {
            Rune.DecodeFromUtf16(run.AsSpan(start), out _, out var length);
            symbols.Add(new Symbol
            {
                Start = start,
                Length = length,
                Id = table.Single(run.AsSpan(start, length)),
                Previous = symbols.Count - 1,
                Next = symbols.Count + 1,
            });
            start += length;
        }

        if (symbols.Count > 0)
        {
            CollectionsMarshal.AsSpan(symbols)[^1].Next = -1;
        }

        return [.. symbols];
    }

    private static void Offer<TTable>(
        TTable table, string run, Symbol[] symbols, PriorityQueue<Pair, (double Rank, int Left)> queue, int left, int right)
        where TTable : IBpeTable
    {
        var length = symbols[left].Length + symbols[right].Length;
        var id = table.Join(symbols[left].Id, symbols[right].Id, run.AsSpan(symbols[left].Start, length), out var rank);
        if (id >= 0)
        {
            queue.Enqueue(new Pair(left, right, length, id), (rank, left));
        }
    }

    private readonly record struct Pair(int Left, int Right, int Length, int Id);

    private struct Symbol
    {
        public int Start;
        public int Length;
        public int Id;
        public int Previous;
        public int Next;
    }
}
