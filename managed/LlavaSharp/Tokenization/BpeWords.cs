using System.Globalization;
using System.Text;

namespace LlavaSharp.Tokenization;

/// <summary>
/// Cuts training text into the words that merges stay within. A word is a run of letters, or of other characters, with
/// one space mark in front if a space stood there; a digit is a word by itself, and so are spaces before the last one.
/// </summary>
internal static class BpeWords
{
    /// <summary>U+2581, the visible space.</summary>
    public const char SpaceMark = '\u2581';

    private enum Kind
    {
        Space,
        Letter,
        Digit,
        Other,
        Excluded,
    }

    /// <summary>Counts the words of a text. Control characters belong to no word: they are left to byte pieces.</summary>
    public static SortedDictionary<string, long> Count(IEnumerable<string> text)
    {
        var counts = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (var part in text)
        {
            foreach (var line in part.EnumerateLines())
            {
                if (line.Length > 0)
                {
                    AddLine(counts, SpaceMark + line.ToString().Replace(' ', SpaceMark));
                }
            }
        }

        return counts;
    }

    private static void AddLine(SortedDictionary<string, long> counts, string line)
    {
        for (var start = 0; start < line.Length;)
        {
            var end = WordEnd(line, start, out var kind);
            if (kind != Kind.Excluded)
            {
                var word = line[start..end];
                counts[word] = counts.GetValueOrDefault(word) + 1;
            }

            start = end;
        }
    }

    private static int WordEnd(string line, int start, out Kind kind)
    {
        var at = start;
        kind = KindAt(line, ref at);
        if (kind == Kind.Space)
        {
            var spaces = at;
            while (spaces < line.Length && line[spaces] == SpaceMark)
            {
                spaces++;
            }

            // All but the last space are a word; the last one goes with what follows, unless that stands alone.
            if (spaces - start > 1)
            {
                return spaces - 1;
            }

            var next = at < line.Length ? NextKind(line, at) : Kind.Excluded;
            kind = next is Kind.Letter or Kind.Other ? next : Kind.Space;
        }

        while (kind is Kind.Letter or Kind.Other && at < line.Length && NextKind(line, at) == kind)
        {
            KindAt(line, ref at);
        }

        return at;
    }

    private static Kind NextKind(string line, int at) => KindAt(line, ref at);

    /// <summary>The kind of the character at a place, which moves on behind it.</summary>
    private static Kind KindAt(string line, ref int at)
    {
        if (Rune.DecodeFromUtf16(line.AsSpan(at), out var rune, out var length) != System.Buffers.OperationStatus.Done)
        {
            at += length;
            return Kind.Excluded;
        }

        at += length;
        return rune.Value == SpaceMark
            ? Kind.Space
            : Rune.GetUnicodeCategory(rune) switch
            {
                UnicodeCategory.Control or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator => Kind.Excluded,
                UnicodeCategory.DecimalDigitNumber => Kind.Digit,
                UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark => Kind.Letter,
                _ => Rune.IsLetter(rune) ? Kind.Letter : Kind.Other,
            };
    }
}
