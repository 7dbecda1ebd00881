using System.Buffers;
using LlavaSharp.Data;

namespace LlavaSharp.Tokenization;

/// <summary>Finds added tokens in text: the leftmost one, and of those that begin there the longest.</summary>
internal sealed class AddedTokenMatcher
{
    private readonly Dictionary<char, AddedToken[]> _byFirst;

    private readonly SearchValues<string> _search;

    /// <summary>Prepares the search.</summary>
    /// <param name="tokens">The tokens; none is empty.</param>
    public AddedTokenMatcher(IReadOnlyCollection<AddedToken> tokens)
    {
        _search = SearchValues.Create([.. tokens.Select(t => t.Text)], StringComparison.Ordinal);
        _byFirst = tokens.GroupBy(t => t.Text[0]).ToDictionary(g => g.Key, g => g.OrderByDescending(t => t.Text.Length).ToArray());
    }

    /// <summary>Cuts a stretch of text; runs are not empty.</summary>
    /// <param name="text">The text.</param>
    /// <param name="start">First character.</param>
    /// <param name="end">First character behind the stretch.</param>
    /// <returns>Start, end and token; the token is null for a run.</returns>
    public IEnumerable<(int Start, int End, AddedToken? Token)> Split(string text, int start, int end)
    {
        for (var at = start; ;)
        {
            var token = Next(text, at, end, out var found);
            var from = found;
            while (token is { StripLeft: true } && from > at && PythonText.IsSpace(text[from - 1]))
            {
                from--;
            }

            if (from > at)
            {
                yield return (at, from, null);
            }

            if (token is null)
            {
                yield break;
            }

            var to = found + token.Text.Length;
            while (token.StripRight && to < end && PythonText.IsSpace(text[to]))
            {
                to++;
            }

            yield return (from, to, token);
            at = to;
        }
    }

    private AddedToken? Next(string text, int start, int end, out int found)
    {
        for (found = start; found < end; found++)
        {
            var offset = text.AsSpan(found, end - found).IndexOfAny(_search);
            if (offset < 0)
            {
                break;
            }

            found += offset;
            var rest = text.AsSpan(found, end - found);
            foreach (var token in _byFirst[rest[0]])
            {
                if (rest.StartsWith(token.Text, StringComparison.Ordinal))
                {
                    if (!token.SingleWord || StandsAlone(text, found, found + token.Text.Length, start, end))
                    {
                        return token;
                    }

                    break;
                }
            }
        }

        found = end;
        return null;
    }

    private static bool StandsAlone(string text, int from, int to, int start, int end) =>
        (from == start || !IsWord(text[from - 1])) && (to == end || !IsWord(text[to]));

    private static bool IsWord(char c) => char.IsLetterOrDigit(c) || c == '_';
}
