using System.Buffers;
using System.Globalization;
using System.Text;

namespace LlavaSharp.Tokenization;

/// <summary>
/// Finds added tokens as Hugging Face's tokenizers does: first those that are not normalized, then the others in the sections
/// between them; each time the leftmost one, and of those that begin there the longest.
/// </summary>
internal sealed class AddedTokenMatcher
{
    private readonly TokenSet _plain;

    private readonly TokenSet _normalized;

    private readonly SpaceRule? _space;

    /// <summary>Prepares the search.</summary>
    /// <param name="tokens">The tokens; none is empty.</param>
    /// <param name="space">What the normalizer does to text and to normalized tokens; null for nothing.</param>
    public AddedTokenMatcher(IReadOnlyCollection<AddedToken> tokens, SpaceRule? space)
    {
        _space = space is { PrependsToTokens: true } or { MarksFirst: true } ? space : null;
        _plain = new TokenSet([.. tokens.Where(t => !t.Normalized).Select(t => (t.Text, t))]);
        _normalized = new TokenSet([.. tokens.Where(t => t.Normalized).Select(t => (Normalize(t.Text), t))]);
    }

    /// <summary>Cuts a stretch of text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="start">First character.</param>
    /// <param name="end">First character behind the stretch.</param>
    /// <returns>Runs and tokens. A run is empty where the normalizer's mark is all there is of it.</returns>
    public IEnumerable<TokenMatch> Split(string text, int start, int end)
    {
        foreach (var match in _plain.Split(text[start..end]))
        {
            var (from, to) = (start + match.Start, start + match.End);
            if (match.Token is not null || _normalized.IsEmpty)
            {
                yield return match with { Start = from, End = to, BeginsSection = true };
            }
            else
            {
                foreach (var inner in SplitSection(text[from..to]))
                {
                    yield return inner with { Start = from + inner.Start, End = from + inner.End };
                }
            }
        }
    }

    /// <summary>
    /// Looks for normalized tokens. A mark put in front moves every place by one: character i of the normalized text is character
    /// i - 1 of the section. A run of that mark alone is empty, and encoded with the mark.
    /// </summary>
    private IEnumerable<TokenMatch> SplitSection(string section)
    {
        var shift = _space is { PrependsToTokens: true } ? 1 : 0;
        foreach (var match in _normalized.Split(Normalize(section)))
        {
            yield return new TokenMatch(Math.Max(match.Start - shift, 0), match.End - shift, match.Token, match.Start == 0);
        }
    }

    private string Normalize(string text)
    {
        var marked = _space is { MarksFirst: true } ? text.Replace(' ', BpeWords.SpaceMark) : text;
        return _space is { PrependsToTokens: true } ? BpeWords.SpaceMark + marked : marked;
    }

    /// <summary>Tokens that are looked for together, each with the spelling that is looked for.</summary>
    private sealed class TokenSet
    {
        private readonly Dictionary<char, (string Text, AddedToken Token)[]> _byFirst;

        private readonly SearchValues<string> _search;

        public TokenSet(IReadOnlyCollection<(string Text, AddedToken Token)> tokens)
        {
            _search = SearchValues.Create([.. tokens.Select(t => t.Text)], StringComparison.Ordinal);
            _byFirst = tokens.GroupBy(t => t.Text[0])
                .ToDictionary(g => g.Key, g => g.OrderByDescending(t => t.Text.Length).ToArray());
        }

        public bool IsEmpty => _byFirst.Count == 0;

        /// <summary>Cuts a text. A token that begins in the space that the one before it swallowed is found all the same.</summary>
        public IEnumerable<TokenMatch> Split(string text)
        {
            for (var (at, search) = (0, 0); ;)
            {
                var token = Next(text, search, out var from, out var to);
                search = to;
                while (token is { StripLeft: true } && from > at && char.IsWhiteSpace(text[from - 1]))
                {
                    from--;
                }

                if (from > at)
                {
                    yield return new TokenMatch(at, from, null, at == 0);
                }

                if (token is null)
                {
                    yield break;
                }

                while (token.StripRight && to < text.Length && char.IsWhiteSpace(text[to]))
                {
                    to++;
                }

                (from, at) = (Math.Max(from, at), Math.Max(to, at));
                yield return new TokenMatch(from, at, token, from == 0);
            }
        }

        private AddedToken? Next(string text, int start, out int found, out int end)
        {
            for (found = start; found < text.Length; found = end)
            {
                var offset = text.AsSpan(found).IndexOfAny(_search);
                if (offset < 0)
                {
                    break;
                }

                found += offset;
                var (spelling, token) = Longest(text, found);
                end = found + spelling.Length;

                // One that touches a word is passed over as a whole.
                if (!token.SingleWord || (!WordEndsAt(text, found) && !WordBeginsAt(text, end)))
                {
                    return token;
                }
            }

            found = end = text.Length;
            return null;
        }

        private (string Text, AddedToken Token) Longest(string text, int at)
        {
            foreach (var candidate in _byFirst[text[at]])
            {
                if (text.AsSpan(at).StartsWith(candidate.Text, StringComparison.Ordinal))
                {
                    return candidate;
                }
            }

            throw new InvalidOperationException("the search found a token that is none of its own");
        }

        private static bool WordEndsAt(string text, int at) =>
            Rune.DecodeLastFromUtf16(text.AsSpan(0, at), out var rune, out _) == OperationStatus.Done && IsWord(rune);

        private static bool WordBeginsAt(string text, int at) =>
            Rune.DecodeFromUtf16(text.AsSpan(at), out var rune, out _) == OperationStatus.Done && IsWord(rune);

        /// <summary>What <c>\w</c> matches in Unicode.</summary>
        private static bool IsWord(Rune rune) => Rune.IsLetterOrDigit(rune) || rune.Value is 0x200C or 0x200D
            || Rune.GetUnicodeCategory(rune) is UnicodeCategory.ConnectorPunctuation or UnicodeCategory.LetterNumber
                or UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark;
    }
}

/// <summary>A part of a text: an added token, or a run of text between two.</summary>
/// <param name="Start">First character.</param>
/// <param name="End">First character behind it.</param>
/// <param name="Token">The token; null for a run.</param>
/// <param name="BeginsSection">Whether the text, or the stretch behind a token that is not normalized, begins with it.</param>
internal readonly record struct TokenMatch(int Start, int End, AddedToken? Token, bool BeginsSection);
