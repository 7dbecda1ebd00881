using System.Text.RegularExpressions;

namespace LlavaSharp.Tidy.Tests;

/// <summary>One idea a file, one screen or two a function, lines that fit beside another window.</summary>
public static partial class SizeRules
{
    private const int FileLinesMax = 400;

    // The contract is one file by design, and mostly documentation.
    private const string Contract = "native/include/llavasharp.h";
    private const int ContractLinesMax = 680;
    private const int FunctionLinesMax = 70;

    private static readonly string[] Counted = [".cpp", ".h", ".cs", ".sh", ".ps1", ".py", ".cmake", "CMakeLists.txt"];

    public static IEnumerable<Violation> ShortFiles(SourceTree tree) =>
        from file in tree.Files
        where Counted.Any(file.Has) && !file.IsGenerated
        let count = file.Lines.Length - 1
        let most = file.Path == Contract ? ContractLinesMax : FileLinesMax
        where count > most
        select new Violation(file.Path, most + 1, $"{count} lines, at most {most}: a second idea");

    // In C# the text of literals is not counted: tables of messages and of test data stay tables.
    public static IEnumerable<Violation> ShortLines(SourceTree tree) =>
        from file in tree.Files
        where (file.IsCpp || file.IsCSharp) && !file.IsGenerated
        let most = file.IsCpp ? 100 : 140
        let lines = file.IsCpp ? file.Lines : CodeText.Strip(file.Text, raw: false, comments: false).Split('\n')
        from line in Enumerable.Range(0, lines.Length)
        let columns = file.Lines[line].Zip(lines[line]).Count(pair => pair.First == pair.Second)
        where columns > most
        select new Violation(file.Path, line + 1, $"{columns} columns, at most {most}");

    public static IEnumerable<Violation> ShortFunctions(SourceTree tree) =>
        from file in tree.Files
        where !file.IsGenerated
        from function in file.IsCpp ? CppFunctions(file) : file.IsCSharp ? CSharpFunctions(file) : []
        where function.End - function.Start + 1 > FunctionLinesMax
        select new Violation(
            file.Path, function.Start + 1, $"a function of {function.End - function.Start + 1} lines, at most {FunctionLinesMax}");

    // clang-format puts the first line and the closing brace of a function in column 0, and nothing of its body.
    private static IEnumerable<(int Start, int End)> CppFunctions(SourceFile file)
    {
        string[] lines = file.Code.Split('\n');
        int start = -1;
        for (int i = 0; i < lines.Length; i++)
        {
            if (CppStartPattern().IsMatch(lines[i]))
            {
                start = i;
            }
            else if (file.Lines[i] == "}" && start >= 0)
            {
                yield return (start, i);
                start = -1;
            }
        }
    }

    // dotnet format puts the braces of a method of a top-level type in column 4, of a nested type's in column 8.
    private static IEnumerable<(int Start, int End)> CSharpFunctions(SourceFile file)
    {
        string[] lines = file.Code.Split('\n');
        int start = -1;
        string indent = "    ";
        for (int i = 1; i < lines.Length; i++)
        {
            string line = lines[i].TrimEnd();
            if (line == "    {" && TypePattern().IsMatch(lines[i - 1]))
            {
                indent = "        ";
            }
            else if (line == indent + "{")
            {
                start = i;
            }
            else if (line == indent + "}" && start >= 0)
            {
                yield return (start, i);
                start = -1;
            }
            else if (line == "    }")
            {
                indent = "    ";
            }
        }
    }

    [GeneratedRegex(@"\b(class|struct|record|interface|enum)\s+\w")]
    private static partial Regex TypePattern();

    [GeneratedRegex(@"^(?!namespace|struct|class|enum|union|extern|template|public|private|protected)[A-Za-z_\[~:].*")]
    private static partial Regex CppStartPattern();
}
