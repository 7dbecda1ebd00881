namespace LlavaSharp.Tokenization;

/// <summary>The pieces of a tokenizer.json and the pairs of them that merge.</summary>
internal sealed class BpeVocabulary
{
    private readonly string?[] _pieces;

    private readonly Dictionary<(int Left, int Right), (int Rank, int Id)> _merges;

    /// <summary>Takes both over.</summary>
    /// <param name="ids">Pieces and their ids; not empty.</param>
    /// <param name="merges">Pairs of ids that merge, in order, and what they become.</param>
    public BpeVocabulary(Dictionary<string, int> ids, Dictionary<(int Left, int Right), (int Rank, int Id)> merges)
    {
        (Ids, _merges) = (ids, merges);
        _pieces = new string?[ids.Values.Max() + 1];
        foreach (var (piece, id) in ids)
        {
            _pieces[id] = piece;
        }
    }

    /// <summary>The pieces and their ids.</summary>
    public Dictionary<string, int> Ids { get; }

    /// <summary>One more than the largest id.</summary>
    public int PieceCount => _pieces.Length;

    /// <summary>How a piece is spelled; null when there is none of that id.</summary>
    public string? Spelling(int id) => (uint)id < (uint)_pieces.Length ? _pieces[id] : null;

    /// <summary>What two neighbours become; -1 when they do not merge.</summary>
    /// <param name="left">The left one's id, or negative.</param>
    /// <param name="right">The right one's id, or negative.</param>
    /// <param name="rank">Lower ones merge first.</param>
    public int Join(int left, int right, out double rank)
    {
        var found = _merges.TryGetValue((left, right), out var merge);
        rank = merge.Rank;
        return found ? merge.Id : -1;
    }

    /// <summary>
    /// A priority for each piece that makes SentencePiece's rule (any two neighbours that spell a piece join, the highest score
    /// first) give what the merges give: every way to make a piece is a merge, and those of one piece follow each other.
    /// </summary>
    /// <param name="isText">Whether a piece is text: no byte and no special token.</param>
    /// <returns>A score an id; null when the merges follow no such rule.</returns>
    public float[]? Scores(Predicate<int> isText)
    {
        var ranks = new Dictionary<int, (int First, int Last, int Count)>();
        foreach (var (rank, id) in _merges.Values)
        {
            ranks[id] = ranks.TryGetValue(id, out var r)
                ? (Math.Min(r.First, rank), Math.Max(r.Last, rank), r.Count + 1) : (rank, rank, 1);
        }

        if (Ids.Any(p => isText(p.Value) && Ways(p.Key, isText) != ranks.GetValueOrDefault(p.Value).Count))
        {
            return null;
        }

        var scores = new float[PieceCount];
        Array.Fill(scores, -ranks.Count);
        var (order, before) = (0, -1);
        foreach (var (id, range) in ranks.OrderBy(r => r.Value.First))
        {
            if (range.First < before || !isText(id))
            {
                return null;
            }

            (before, scores[id]) = (range.Last, -order++);
        }

        return scores;
    }

    /// <summary>In how many ways a text is two pieces of text.</summary>
    private int Ways(string text, Predicate<int> isText)
    {
        return Enumerable.Range(1, Math.Max(text.Length - 1, 0)).Count(cut => Is(text[..cut]) && Is(text[cut..]));

        bool Is(string part) => Ids.TryGetValue(part, out var id) && isText(id);
    }
}
