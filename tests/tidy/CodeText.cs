using System.Text;

namespace LlavaSharp.Tidy.Tests;

/// <summary>
/// Blanks comments, strings and characters of C++ and C# so that a rule sees code only. Positions and lines stay.
/// Not a compiler: interpolated holes are blanked with their string, which no rule here minds.
/// </summary>
public static class CodeText
{
    public static string Strip(string text, bool raw, bool comments = true)
    {
        var code = new StringBuilder(text);
        int at = 0;
        while (at < text.Length)
        {
            int end = LiteralEnd(text, at, raw);
            bool comment = text[at] == '/';
            for (int i = at; i < end; i++)
            {
                if (code[i] != '\n' && (comments || !comment))
                {
                    code[i] = ' ';
                }
            }

            at = Math.Max(end, at + 1);
        }

        return code.ToString();
    }

    /// <summary>The end of the comment or literal that starts here, or this position if none does.</summary>
    private static int LiteralEnd(string text, int at, bool raw)
    {
        ReadOnlySpan<char> rest = text.AsSpan(at);
        if (rest.StartsWith("//"))
        {
            return After(text, "\n", at) is var end && end < text.Length ? end - 1 : text.Length;
        }

        if (rest.StartsWith("/*"))
        {
            return After(text, "*/", at + 2);
        }

        if (raw && rest.StartsWith("R\"") && text.IndexOf('(', at) is var open and > 0)
        {
            return After(text, ")" + text[(at + 2)..open] + "\"", open);
        }

        if (rest.StartsWith("\"\"\"") && !raw)
        {
            int quotes = 3;
            while (at + quotes < text.Length && text[at + quotes] == '"')
            {
                quotes++;
            }

            return After(text, new string('"', quotes), at + quotes);
        }

        if (!raw && (rest.StartsWith("@\"") || rest.StartsWith("$@\"") || rest.StartsWith("@$\"")))
        {
            return VerbatimEnd(text, text.IndexOf('"', at) + 1);
        }

        // 1'000 in C++ is a number.
        bool digitSeparator = raw && at > 0 && char.IsAsciiLetterOrDigit(text[at - 1]);
        return rest[0] == '"' || (rest[0] == '\'' && !digitSeparator) ? QuotedEnd(text, at) : at;
    }

    private static int After(string text, string mark, int from) =>
        text.IndexOf(mark, from, StringComparison.Ordinal) is var found and >= 0 ? found + mark.Length : text.Length;

    private static int VerbatimEnd(string text, int at)
    {
        while (at < text.Length && (text[at] != '"' || (at + 1 < text.Length && text[at + 1] == '"')))
        {
            at += text[at] == '"' ? 2 : 1;
        }

        return Math.Min(at + 1, text.Length);
    }

    private static int QuotedEnd(string text, int at)
    {
        char quote = text[at++];
        while (at < text.Length && text[at] != quote && text[at] != '\n')
        {
            at += text[at] == '\\' ? 2 : 1;
        }

        return Math.Min(at + 1, text.Length);
    }
}
