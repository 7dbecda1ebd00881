namespace LlavaSharp.Training;

/// <summary>Finds the known name that a mistyped one probably meant.</summary>
public static class NearestName
{
    /// <summary>The candidate with the smallest edit distance (insert, delete, replace, swap of neighbours)
    /// to <paramref name="name"/>.</summary>
    /// <param name="name">What was typed.</param>
    /// <param name="candidates">The names that exist.</param>
    /// <returns>The nearest name, the first one among equals; null when even the nearest shares less than half of its letters.</returns>
    public static string? Find(string name, IEnumerable<string> candidates)
    {
        string? best = null;
        var bestDistance = int.MaxValue;
        foreach (var candidate in candidates)
        {
            var distance = Distance(name, candidate);
            if (distance < bestDistance)
            {
                (best, bestDistance) = (candidate, distance);
            }
        }

        return best is not null && bestDistance * 2 <= Math.Max(name.Length, best.Length) ? best : null;
    }

    /// <summary>A sentence that ends an error message: ", did you mean X?" or nothing.</summary>
    /// <param name="name">What was typed.</param>
    /// <param name="candidates">The names that exist.</param>
    /// <param name="prefix">Put in front of the name, such as "--".</param>
    /// <returns>The hint, possibly empty.</returns>
    public static string Hint(string name, IEnumerable<string> candidates, string prefix = "") =>
        Find(name, candidates) is { } nearest ? $"; did you mean {prefix}{nearest}?" : "";

    // Optimal string alignment: three rows are enough, because a swap looks two rows back.
    private static int Distance(string a, string b)
    {
        int[] beforeLast = new int[b.Length + 1], last = new int[b.Length + 1], row = new int[b.Length + 1];
        for (var j = 0; j <= b.Length; j++)
        {
            last[j] = j;
        }

        for (var i = 1; i <= a.Length; i++)
        {
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var cost = a[i - 1] == b[j - 1] ? 0 : 1;
                row[j] = Math.Min(Math.Min(last[j] + 1, row[j - 1] + 1), last[j - 1] + cost);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                {
                    row[j] = Math.Min(row[j], beforeLast[j - 2] + 1);
                }
            }

            (beforeLast, last, row) = (last, row, beforeLast);
        }

        return last[b.Length];
    }
}
