using System.Text.RegularExpressions;

namespace LlavaSharp.Tidy.Tests;

/// <summary>Documents are short, titled, and their links work.</summary>
public static partial class DocumentRules
{
    private const int ReadmeLinesMax = 150;

    public static IEnumerable<Violation> ShortReadme(SourceTree tree) =>
        from file in tree.Files
        where file.Path == "README.md" && file.Lines.Length - 1 > ReadmeLinesMax
        select new Violation(file.Path, ReadmeLinesMax + 1, $"{file.Lines.Length - 1} lines, at most {ReadmeLinesMax}");

    public static IEnumerable<Violation> Titles(SourceTree tree) =>
        from file in tree.Files
        where file.Has(".md") && !file.Lines[0].StartsWith("# ", StringComparison.Ordinal)
        select new Violation(file.Path, 1, "the first line is not a title");

    public static IEnumerable<Violation> Links(SourceTree tree) =>
        from file in tree.Files
        where file.Has(".md")
        from Match match in LinkPattern().Matches(file.Text)
        let target = match.Groups[1].Value
        where !target.Contains("://", StringComparison.Ordinal) && !tree.Exists(Resolve(file.Path, target))
        select new Violation(file.Path, file.LineAt(match.Index), $"{target} does not exist");

    private static string Resolve(string from, string target)
    {
        List<string> parts = [.. from.Split('/')[..^1]];
        foreach (string part in target.Split('/'))
        {
            if (part == ".." && parts.Count > 0)
            {
                parts.RemoveAt(parts.Count - 1);
            }
            else if (part != ".")
            {
                parts.Add(part);
            }
        }

        return string.Join('/', parts);
    }

    [GeneratedRegex(@"\]\(([^)#\s]+)(?:#[^)]*)?\)")]
    private static partial Regex LinkPattern();
}
