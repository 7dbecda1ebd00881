namespace LlavaSharp.Data;

/// <summary>Python's notion of white space, which the recipe's strip() and split() use: .NET's, and U+001C to U+001F.</summary>
internal static class PythonText
{
    /// <summary><c>str.isspace</c> of one character.</summary>
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\u001c' and <= '\u001f';

    /// <summary><c>str.strip()</c>.</summary>
    public static string Strip(string text)
    {
        var (start, end) = (0, text.Length);
        while (start < end && IsSpace(text[start]))
        {
            start++;
        }

        while (end > start && IsSpace(text[end - 1]))
        {
            end--;
        }

        return text[start..end];
    }

    /// <summary><c>len(str.split())</c>.</summary>
    public static int WordCount(string text)
    {
        var (count, inside) = (0, false);
        foreach (var c in text)
        {
            var word = !IsSpace(c);
            count += word && !inside ? 1 : 0;
            inside = word;
        }

        return count;
    }
}
