using System.Buffers;
using System.Text;

namespace LlavaSharp.Data;

/// <summary>Says what is wrong with a file that is no JSON, and what to do: what kind of file it is, or which habit made it so.</summary>
internal static class JsonComplaints
{
    private static readonly SearchValues<byte> Separators = SearchValues.Create(" \t\r\n:,"u8);

    private const string Wanted = "a data file is JSON: one list of samples, or a sample a line";

    /// <summary>The kind of a file by its first bytes, where it is none that may hold JSON as it is; else null.</summary>
    public static string? OtherKind(ReadOnlySpan<byte> start) => start switch
    {
        [0xFF, 0xFE, ..] or [0xFE, 0xFF, ..] or [(byte)'[' or (byte)'{', 0, ..] or [0, (byte)'[' or (byte)'{', ..] => "this is UTF-16 text; save it as UTF-8",
        _ when FileSignatures.Packing(start) is { } packing => $"this is {(packing == "xz" ? "an" : "a")} {packing} file; unpack it",
        _ when FileSignatures.IsParquet(start) => $"this is a Parquet file; {Wanted}: write its rows so",
        _ when start.StartsWith("ARROW1"u8) => $"this is an Arrow file; {Wanted}: write its rows so",
        _ when start.StartsWith("SQLite format"u8) => $"this is an SQLite file; {Wanted}: write its rows so",
        _ when FileSignatures.IsGitLfsPointer(start) => "this is a pointer of Git LFS, not the file itself; fetch it (git lfs pull)",
        _ => null,
    };

    /// <summary>What a text seems to be that begins with neither [ nor {; null for what the JSON reader itself names better.</summary>
    public static string? OtherText(ReadOnlySpan<byte> text)
    {
        var end = text[..Math.Min(text.Length, 1000)].IndexOfAny((byte)'\n', (byte)'\r');
        var line = Encoding.UTF8.GetString(text[..(end < 0 ? Math.Min(text.Length, 1000) : end)]);
        return line switch
        {
            ['<', ..] => $"this is HTML or XML, perhaps an error page that was downloaded; {Wanted}",
            ['/', '/' or '*', ..] or ['#', ..] => $"JSON has no comments; remove them ({Wanted})",
            "null" or "true" or "false" or ['"' or (>= '0' and <= '9'), ..] => null,
            ['-', ' ', ..] or [.., ':'] => $"this seems to be YAML; {Wanted}",
            _ when line.Contains(": ", StringComparison.Ordinal) => $"this seems to be YAML; {Wanted}",
            _ when line.Contains(',', StringComparison.Ordinal) => $"this seems to be a CSV table; {Wanted}",
            _ when line.Contains('\t', StringComparison.Ordinal) => $"this seems to be a table with tabs; {Wanted}",
            _ => $"here begins neither a list nor an object; {Wanted}",
        };
    }

    /// <summary>The JSON reader's message in the words of a data file.</summary>
    /// <param name="message">What the reader says.</param>
    /// <param name="rest">The text behind the last token that was read.</param>
    /// <param name="array">Whether the file began as a list.</param>
    public static string Explain(string message, ReadOnlySpan<byte> rest, bool array)
    {
        var cut = message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        message = (cut < 0 ? message : message[..cut]).ReplaceLineEndings(" ");
        var word = Word(rest);
        return 0 switch
        {
            _ when message.Contains("trailing comma", StringComparison.Ordinal) => "a comma stands before a closing bracket; remove it",
            _ when word is "NaN" or "Infinity" or "-Infinity" or "None" or "True" or "False" or "undefined" or "inf" or "nan" =>
                $"JSON has no {word}; write {(word is "True" or "False" ? word.ToLowerInvariant() : "null, or leave the key out")}",
            _ when word.StartsWith('\'') => "JSON has no single quotes: texts and keys stand in \" (Python writes such a file with json.dump)",
            _ when word.StartsWith('/') || word.StartsWith('#') => "JSON has no comments; remove them",
            _ when message.Contains("reached end of data", StringComparison.Ordinal) || message.Contains("incomplete", StringComparison.Ordinal) =>
                "the file ends within a sample: it is cut off, or a quote or bracket is missing",
            _ when message.Contains("after a single JSON value", StringComparison.Ordinal) =>
                array ? "more text, or a second list, stands behind the list; the file holds one list" : "the file holds an object a line, or one list",
            _ => message,
        };
    }

    /// <summary>The first word behind spaces and separators, with its sign; at most 12 characters.</summary>
    private static string Word(ReadOnlySpan<byte> rest)
    {
        var start = rest.IndexOfAnyExcept(Separators);
        if (start < 0)
        {
            return "";
        }

        rest = rest[start..Math.Min(rest.Length, start + 12)];
        var length = 1;
        while (length < rest.Length && (char.IsAsciiLetterOrDigit((char)rest[length]) || rest[length] == '_'))
        {
            length++;
        }

        return Encoding.UTF8.GetString(rest[..length]);
    }
}
