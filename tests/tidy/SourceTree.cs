namespace LlavaSharp.Tidy.Tests;

/// <summary>One text file: its path from the root with forward slashes, and its content.</summary>
public sealed record SourceFile(string Path, string Text)
{
    private string? _code;

    public string[] Lines { get; } = Text.Split('\n');

    /// <summary>The text with comments and literals blanked out, line by line; only for C++ and C#.</summary>
    public string Code => _code ??= CodeText.Strip(Text, raw: IsCpp);

    public bool IsCpp => Has(".cpp") || Has(".h");

    public bool IsCSharp => Has(".cs");

    public bool IsGenerated => Has(".g.cs");

    public bool Under(string folder) => Path.StartsWith(folder + "/", StringComparison.Ordinal);

    public bool Has(string extension) => Path.EndsWith(extension, StringComparison.Ordinal);

    /// <summary>The number of the line, from 1, that holds this position of <see cref="Text"/>.</summary>
    public int LineAt(int position) => Text.AsSpan(0, position).Count('\n') + 1;
}

/// <summary>A broken rule, printed as a compiler prints an error.</summary>
public sealed record Violation(string Path, int Line, string Message)
{
    public override string ToString() => $"{Path}:{Line}: {Message}";
}

/// <summary>The repository's own text files, or a tiny tree that a test makes up.</summary>
public sealed class SourceTree(IEnumerable<SourceFile> files)
{
    private static readonly string[] TextExtensions =
    [
        ".cpp", ".h", ".cs", ".csproj", ".props", ".slnx", ".sh", ".ps1", ".py", ".cmake", ".md", ".txt", ".json",
        ".svg", ".supp", ".editorconfig", ".clang-tidy", ".clang-format", "run", "LICENSE",
    ];

    private static readonly string[] SkippedFolders = ["artifacts", "build", "out", "bin", "obj", "golden", "Golden", "TestResults"];

    public IReadOnlyList<SourceFile> Files { get; } =
        [.. files.OrderBy(file => file.Path, StringComparer.Ordinal)];

    public static string Root { get; } = FindRoot();

    public static SourceTree OfRepository() => new(Read(new DirectoryInfo(Root)));

    public bool Exists(string path) => Files.Any(file => file.Path == path || file.Under(path.TrimEnd('/')));

    private static IEnumerable<SourceFile> Read(DirectoryInfo folder)
    {
        foreach (FileInfo file in folder.EnumerateFiles())
        {
            if (TextExtensions.Any(end => file.Name.EndsWith(end, StringComparison.Ordinal)))
            {
                string path = Path.GetRelativePath(Root, file.FullName).Replace('\\', '/');
                yield return new SourceFile(path, File.ReadAllText(file.FullName));
            }
        }

        foreach (DirectoryInfo child in folder.EnumerateDirectories())
        {
            bool hidden = child.Name.StartsWith('.') && child.Name != ".ci";
            if (!hidden && !SkippedFolders.Contains(child.Name))
            {
                foreach (SourceFile file in Read(child))
                {
                    yield return file;
                }
            }
        }
    }

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "LlavaSharp.slnx")))
            {
                return folder.FullName;
            }
        }

        throw new DirectoryNotFoundException("no LlavaSharp.slnx above " + AppContext.BaseDirectory);
    }
}
