using System.Globalization;
using System.Text;

namespace LlavaSharp.Tokenization;

/// <summary>
/// Cuts text into the words that merges stay within, by the steps of tokenizer.json's pre_tokenizer. Patterns are matched
/// on a shadow of the text with one UTF-16 unit a code point, so that classes such as <c>\p{L}</c> see characters beyond U+FFFF.
/// </summary>
internal sealed class PreTokenizer(IReadOnlyList<PreTokenizerStep> steps, bool composes)
{
    /// <summary>GPT-2's pattern, which a byte-level step uses unless it is told not to.</summary>
    public const string Gpt2Pattern =
        @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>A character of the BMP of each general category, to stand for one beyond it in patterns.</summary>
    private static readonly Dictionary<UnicodeCategory, char> Stand = Enumerable.Range(0x100, 0xD700)
        .GroupBy(c => CharUnicodeInfo.GetUnicodeCategory((char)c)).ToDictionary(g => g.Key, g => (char)g.First());

    /// <summary>Cuts a run of text.</summary>
    public IEnumerable<string> Split(string text)
    {
        IEnumerable<string> words = [composes ? Nfc.Compose(text) : text];
        foreach (var step in steps)
        {
            words = words.SelectMany(word => Cut(step, word));
        }

        return words;
    }

    private static IEnumerable<string> Cut(PreTokenizerStep step, string word)
    {
        if (step.PrefixSpace && !word.StartsWith(' '))
        {
            word = " " + word;
        }

        if (step.Pattern is null)
        {
            return word.Length > 0 ? [word] : [];
        }

        var (shadow, starts) = Shadow(word);
        return Pieces(step, shadow).Where(p => p.End > p.Start)
            .Select(p => starts is null ? word[p.Start..p.End] : word[starts[p.Start]..starts[p.End]]);
    }

    /// <summary>Matches and what lies between them, joined as the step says.</summary>
    private static List<(int Start, int End)> Pieces(PreTokenizerStep step, string shadow)
    {
        var pieces = new List<(int Start, int End, bool Match)>();
        var at = 0;
        foreach (var match in step.Pattern!.EnumerateMatches(shadow))
        {
            if (match.Index > at)
            {
                pieces.Add((at, match.Index, step.Invert));
            }

            if (match.Length > 0)
            {
                pieces.Add((match.Index, match.Index + match.Length, !step.Invert));
            }

            at = match.Index + match.Length;
        }

        if (at < shadow.Length)
        {
            pieces.Add((at, shadow.Length, step.Invert));
        }

        var joined = new List<(int Start, int End)>();
        for (var i = 0; i < pieces.Count; i++)
        {
            var (start, end, isMatch) = pieces[i];
            var before = i > 0 && pieces[i - 1].Match;
            var joins = step.Behavior switch
            {
                SplitBehavior.Contiguous => i > 0 && before == isMatch,
                SplitBehavior.MergedWithPrevious => i > 0 && isMatch && !before,
                SplitBehavior.MergedWithNext => i > 0 && before && !isMatch,
                _ => false,
            };
            if (joins)
            {
                joined[^1] = (joined[^1].Start, end);
            }
            else if (step.Behavior != SplitBehavior.Removed || !isMatch)
            {
                joined.Add((start, end));
            }
        }

        return joined;
    }

    /// <summary>The text with one unit a code point, and where each begins in the text (with its end); null when it is the same.</summary>
    private static (string Shadow, int[]? Starts) Shadow(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange('\ud800', '\udfff'))
        {
            return (text, null);
        }

        var shadow = new StringBuilder(text.Length);
        var starts = new List<int>(text.Length);
        for (var at = 0; at < text.Length;)
        {
            Rune.DecodeFromUtf16(text.AsSpan(at), out var rune, out var length);
            starts.Add(at);
            shadow.Append(rune.IsBmp ? (char)rune.Value : Stand.GetValueOrDefault(Rune.GetUnicodeCategory(rune), '\ufffd'));
            at += length;
        }

        return (shadow.ToString(), [.. starts, text.Length]);
    }
}
