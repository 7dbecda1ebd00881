using System.Text.RegularExpressions;

namespace LlavaSharp.Tidy.Tests;

/// <summary>What any text file of the repository may hold. The rules' own examples are not looked at.</summary>
public static partial class TextRules
{
    private static readonly string[] PublicHosts =
    [
        "apache.org", "arxiv.org", "dot.net", "github.com", "google.github.io", "huggingface.co", "keepachangelog.com",
        "learn.microsoft.com", "microsoft.com", "mozilla.org", "nuget.org", "opensource.org", "pytorch.org",
        "schemas.microsoft.com", "unicode.org", "w3.org", "example.com", "example.org",
    ];

    public static IEnumerable<Violation> CleanText(SourceTree tree)
    {
        foreach (SourceFile file in Looked(tree))
        {
            if (file.Text.Contains('\r'))
            {
                yield return new Violation(file.Path, 1, "a carriage return: lines end in LF");
            }

            if (file.Text.Length > 0 && file.Text[^1] != '\n')
            {
                yield return new Violation(file.Path, file.Lines.Length, "no line end at the end of the file");
            }

            for (int i = 0; i < file.Lines.Length; i++)
            {
                string line = file.Lines[i];
                if (line.Length > 0 && line[^1] is ' ' or '\t')
                {
                    yield return new Violation(file.Path, i + 1, "trailing white space");
                }

                if ((file.IsCpp || file.IsCSharp) && line.Contains('\t'))
                {
                    yield return new Violation(file.Path, i + 1, "a tab");
                }
            }
        }
    }

    public static IEnumerable<Violation> NothingLeftToDo(SourceTree tree) =>
        Find(tree, LeftPattern(), "finish it, or write an issue");

    public static IEnumerable<Violation> NoMachinePaths(SourceTree tree) =>
        Find(tree, MachinePathPattern(), "a path of one machine");

    public static IEnumerable<Violation> PublicAddresses(SourceTree tree) =>
        from file in Looked(tree)
        from Match match in AddressPattern().Matches(file.Text)
        let host = match.Groups[1].Value
        where !PublicHosts.Any(known => host == known || host.EndsWith("." + known, StringComparison.Ordinal))
        select new Violation(file.Path, file.LineAt(match.Index), $"{host} is not in the list of public hosts");

    private static IEnumerable<SourceFile> Looked(SourceTree tree) => tree.Files.Where(file => !file.Under("tests/tidy"));

    private static IEnumerable<Violation> Find(SourceTree tree, Regex pattern, string why) =>
        from file in Looked(tree)
        from Match match in pattern.Matches(file.Text)
        select new Violation(file.Path, file.LineAt(match.Index), $"{match.Value}: {why}");

    [GeneratedRegex(@"\b(TODO|FIXME|XXX|HACK|NotImplementedException)\b")]
    private static partial Regex LeftPattern();

    [GeneratedRegex(@"(?<![\w.~}$-])/(root|home|work|Users)/\w+")]
    private static partial Regex MachinePathPattern();

    [GeneratedRegex(@"https?://([\w.-]+)")]
    private static partial Regex AddressPattern();
}
