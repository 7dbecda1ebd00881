using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;

namespace LlavaSharp.Tokenization;

/// <summary>
/// Unicode's normal form C (UAX 15): decompose, order marks by class, compose. The host runs without ICU, where .NET leaves text as
/// it is, so the tables are carried here.
/// </summary>
internal static class Nfc
{
    /// <summary>No character below changes, nor composes with one below.</summary>
    private const char FirstMark = '\u0300';

    /// <summary>Hangul syllables are composed by arithmetic: 19 initials, 21 vowels, 27 finals or none.</summary>
    private const int SyllableBase = 0xAC00, InitialBase = 0x1100, VowelBase = 0x1161, FinalBase = 0x11A7,
        Initials = 19, Vowels = 21, Finals = 28, Syllables = Initials * Vowels * Finals;

    private static readonly Lazy<Tables> Data = new(Load);

    /// <summary>Normalises a text; half a surrogate pair becomes U+FFFD.</summary>
    public static string Compose(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange(FirstMark, '\uffff'))
        {
            return text;
        }

        var tables = Data.Value;
        var runes = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            Decompose(tables, rune.Value, runes);
        }

        Order(tables, runes);
        return Join(tables, runes);
    }

    private static void Decompose(Tables tables, int rune, List<int> output)
    {
        var syllable = rune - SyllableBase;
        if (syllable is >= 0 and < Syllables)
        {
            output.Add(InitialBase + (syllable / (Vowels * Finals)));
            output.Add(VowelBase + (syllable % (Vowels * Finals) / Finals));
            if (syllable % Finals != 0)
            {
                output.Add(FinalBase + (syllable % Finals));
            }
        }
        else if (tables.Decompositions.TryGetValue(rune, out var parts))
        {
            output.AddRange(parts);
        }
        else
        {
            output.Add(rune);
        }
    }

    /// <summary>Sorts each run of marks by class; equal ones keep their order.</summary>
    private static void Order(Tables tables, List<int> runes)
    {
        for (var i = 1; i < runes.Count; i++)
        {
            var mark = tables.Classes.GetValueOrDefault(runes[i]);
            for (var k = i; mark > 0 && k > 0 && tables.Classes.GetValueOrDefault(runes[k - 1]) > mark; k--)
            {
                (runes[k], runes[k - 1]) = (runes[k - 1], runes[k]);
            }
        }
    }

    private static string Join(Tables tables, List<int> runes)
    {
        var (written, starter, last) = (0, -1, 0);
        foreach (var rune in CollectionsMarshal.AsSpan(runes))
        {
            var mark = tables.Classes.GetValueOrDefault(rune);
            var open = starter >= 0 && (starter == written - 1 || (last != 0 && last < mark));
            if (open && Pair(tables, runes[starter], rune) is var joined and > 0)
            {
                runes[starter] = joined;
                continue;
            }

            runes[written] = rune;
            starter = mark == 0 ? written : starter;
            last = mark;
            written++;
        }

        var text = new StringBuilder(written);
        foreach (var rune in runes.Take(written))
        {
            text.Append(new Rune(rune).ToString());
        }

        return text.ToString();
    }

    private static int Pair(Tables tables, int first, int second)
    {
        if (first - InitialBase is >= 0 and < Initials && second - VowelBase is >= 0 and < Vowels)
        {
            return SyllableBase + ((((first - InitialBase) * Vowels) + second - VowelBase) * Finals);
        }

        var open = first - SyllableBase is >= 0 and < Syllables && (first - SyllableBase) % Finals == 0;
        return open && second - FinalBase is > 0 and < Finals
            ? first + second - FinalBase
            : tables.Compositions.GetValueOrDefault((first, second));
    }

    /// <summary>The tables as numbers: how many classes, then code and class; how many decompositions, then code, whether it
    /// composes again, count and parts. Codes are differences.</summary>
    private static Tables Load()
    {
        using var packed = new MemoryStream(Convert.FromBase64String(NfcTables.Packed));
        using var stream = new BinaryReader(new DeflateStream(packed, CompressionMode.Decompress));
        var classes = new Dictionary<int, int>();
        var decompositions = new Dictionary<int, int[]>();
        var compositions = new Dictionary<(int, int), int>();
        var code = 0;
        for (var left = stream.Read7BitEncodedInt(); left > 0; left--)
        {
            classes.Add(code += stream.Read7BitEncodedInt(), stream.Read7BitEncodedInt());
        }

        code = 0;
        for (var left = stream.Read7BitEncodedInt(); left > 0; left--)
        {
            code += stream.Read7BitEncodedInt();
            var composes = stream.Read7BitEncodedInt() == 1;
            var parts = new int[stream.Read7BitEncodedInt()];
            for (var i = 0; i < parts.Length; i++)
            {
                parts[i] = stream.Read7BitEncodedInt();
            }

            if (composes)
            {
                compositions.Add((parts[0], parts[1]), code);
            }

            // Parts may decompose in turn; those come from smaller or larger codes, so it is done when all are read.
            decompositions.Add(code, parts);
        }

        int[] Full(int rune) => decompositions.TryGetValue(rune, out var parts) ? [.. parts.SelectMany(Full)] : [rune];
        return new Tables(classes, decompositions.Keys.ToDictionary(c => c, Full), compositions);
    }

    private sealed record Tables(
        Dictionary<int, int> Classes, Dictionary<int, int[]> Decompositions, Dictionary<(int First, int Second), int> Compositions);
}
