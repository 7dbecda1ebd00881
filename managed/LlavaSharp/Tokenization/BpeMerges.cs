namespace LlavaSharp.Tokenization;

/// <summary>
/// Byte pair encoding's training loop (Sennrich et al. 2016): again and again, the most frequent pair of neighbouring
/// symbols becomes a symbol. Pair counts are kept up to date word by word; equal counts are broken by the shorter, then
/// the ordinally smaller piece, so the result does not depend on any hash order.
/// </summary>
internal sealed class BpeMerges
{
    private readonly int _maxLength;

    private readonly List<string> _symbols = [];

    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);

    /// <summary>Each word as symbols; -1 is a character without a piece, which nothing merges with.</summary>
    private readonly List<int[]> _words = [];

    private readonly List<long> _wordCounts = [];

    private readonly Dictionary<(int Left, int Right), long> _counts = [];

    private readonly Dictionary<(int Left, int Right), HashSet<int>> _places = [];

    private readonly PriorityQueue<((int Left, int Right) Pair, long Count), Rank> _queue = new();

    /// <summary>Prepares the words.</summary>
    /// <param name="words">Words and how often each occurs.</param>
    /// <param name="characters">The characters that have a piece.</param>
    /// <param name="maxLength">Longest piece, in UTF-16 units.</param>
    public BpeMerges(IReadOnlyDictionary<string, long> words, List<string> characters, int maxLength)
    {
        _maxLength = maxLength;
        foreach (var character in characters)
        {
            Intern(character);
        }

        foreach (var (word, count) in words)
        {
            int[] symbols = [.. word.EnumerateRunes().Select(r => _ids.GetValueOrDefault(r.ToString(), -1))];
            _words.Add(symbols);
            _wordCounts.Add(count);
            AddPairs(_words.Count - 1, symbols, count, []);
        }

        foreach (var pair in _counts.Keys)
        {
            Offer(pair);
        }
    }

    /// <summary>The first merged pieces in the order of their merges; fewer if no pair is left.</summary>
    public List<string> Take(int wanted)
    {
        var pieces = new List<string>(wanted);
        while (pieces.Count < wanted && _queue.TryDequeue(out var top, out _))
        {
            // A count that has changed since was offered again; this entry is stale.
            if (_counts.GetValueOrDefault(top.Pair) != top.Count)
            {
                continue;
            }

            var text = _symbols[top.Pair.Left] + _symbols[top.Pair.Right];
            if (!_ids.ContainsKey(text))
            {
                pieces.Add(text);
            }

            // Two pairs can spell the same piece; the second is merged too, but makes no new one.
            Merge(top.Pair, Intern(text));
        }

        return pieces;
    }

    private void Merge((int Left, int Right) pair, int symbol)
    {
        var changed = new HashSet<(int Left, int Right)>();
        foreach (var w in _places[pair].ToArray())
        {
            var (before, count) = (_words[w], _wordCounts[w]);
            AddPairs(w, before, -count, changed);
            var after = new List<int>(before.Length);
            for (var i = 0; i < before.Length; i++)
            {
                var here = i + 1 < before.Length && (before[i], before[i + 1]) == pair;
                after.Add(here ? symbol : before[i]);
                i += here ? 1 : 0;
            }

            _words[w] = [.. after];
            AddPairs(w, _words[w], count, changed);
        }

        _counts.Remove(pair);
        _places.Remove(pair);
        foreach (var other in changed)
        {
            Offer(other);
        }
    }

    /// <summary>Adds a word's pairs to the counts, or with a negative count takes them away.</summary>
    private void AddPairs(int word, int[] symbols, long count, HashSet<(int Left, int Right)> changed)
    {
        for (var i = 1; i < symbols.Length; i++)
        {
            var pair = (symbols[i - 1], symbols[i]);
            if (pair.Item1 < 0 || pair.Item2 < 0 || _symbols[pair.Item1].Length + _symbols[pair.Item2].Length > _maxLength)
            {
                continue;
            }

            _counts[pair] = _counts.GetValueOrDefault(pair) + count;
            if (!_places.TryGetValue(pair, out var places))
            {
                _places.Add(pair, places = []);
            }

            _ = count > 0 ? places.Add(word) : places.Remove(word);
            changed.Add(pair);
        }
    }

    private void Offer((int Left, int Right) pair)
    {
        if (_counts.TryGetValue(pair, out var count) && count > 0)
        {
            _queue.Enqueue((pair, count), new Rank(count, _symbols[pair.Left] + _symbols[pair.Right], _symbols[pair.Left]));
        }
    }

    private int Intern(string text)
    {
        if (!_ids.TryGetValue(text, out var id))
        {
            id = _symbols.Count;
            _symbols.Add(text);
            _ids.Add(text, id);
        }

        return id;
    }

    private readonly record struct Rank(long Count, string Text, string Left) : IComparable<Rank>
    {
        public int CompareTo(Rank other)
        {
            var order = other.Count.CompareTo(Count);
            order = order != 0 ? order : Text.Length.CompareTo(other.Text.Length);
            order = order != 0 ? order : string.CompareOrdinal(Text, other.Text);
            return order != 0 ? order : string.CompareOrdinal(Left, other.Left);
        }
    }
}
