using System.Text.RegularExpressions;

namespace LlavaSharp.Tidy.Tests;

/// <summary>What code may not say, wherever it says it.</summary>
public static partial class CodeRules
{
    public static IEnumerable<Violation> NoHandWrittenImports(SourceTree tree) =>
        Find(tree, file => file.IsCSharp && !file.Has("/Native.g.cs"), ImportPattern(),
            "imports stand in Native.g.cs, which the generator writes");

    public static IEnumerable<Violation> NoExit(SourceTree tree) =>
        Find(tree, file => file.IsCpp && file.Under("native") && !file.Under("native/bench"), ExitPattern(),
            "the engine reports an error, it never ends the process");

    public static IEnumerable<Violation> NoAmbientState(SourceTree tree) =>
        Find(tree, file => file.IsCSharp && file.Under("managed/LlavaSharp"), AmbientPattern(),
            "two runs with one seed must be the same: pass a generator or a clock");

    public static IEnumerable<Violation> NoConsole(SourceTree tree) =>
        Find(tree, file => file.IsCSharp && (file.Under("managed/LlavaSharp") || file.Under("interop/LlavaSharp.Interop")),
            ConsolePattern(), "only the command line writes to the console");

    public static IEnumerable<Violation> OnePublicType(SourceTree tree) =>
        from file in tree.Files
        where file.IsCSharp && !file.IsGenerated && (file.Under("managed") || file.Under("interop"))
        let types = TypePattern().Matches(file.Code)
        where types.Count > 1
        select new Violation(file.Path, file.LineAt(types[1].Index), "a second public type: " + types[1].Value);

    private static IEnumerable<Violation> Find(SourceTree tree, Func<SourceFile, bool> applies, Regex pattern, string why) =>
        from file in tree.Files
        where applies(file)
        from Match match in pattern.Matches(file.Code)
        select new Violation(file.Path, file.LineAt(match.Index), $"{match.Value.Trim()}: {why}");

    [GeneratedRegex(@"\b(DllImport|LibraryImport)\b")]
    private static partial Regex ImportPattern();

    [GeneratedRegex(@"\b(exit|_exit|_Exit|quick_exit|abort|terminate)\s*\(")]
    private static partial Regex ExitPattern();

    [GeneratedRegex(@"\bRandom\.Shared\b|\bnew Random\(\)|\bDateTime\.(Now|UtcNow|Today)\b")]
    private static partial Regex AmbientPattern();

    [GeneratedRegex(@"(?<![\w.])(System\.)?Console\.\w+")]
    private static partial Regex ConsolePattern();

    [GeneratedRegex(@"^public\s[^(=;]*?\b(class|struct|record|enum|interface|delegate)\s[^\n]*", RegexOptions.Multiline)]
    private static partial Regex TypePattern();
}
