using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace LlavaSharp.BindingGenerator;

/// <summary>
/// Runs clang over a header and hands out its top-level declarations as JSON. Declarations are kept by their prefix:
/// the dump names a file only when it changes, names are always there.
/// </summary>
internal static class ClangAst
{
    /// <summary>The clang that is used: LLAVASHARP_CLANG, else clang-14, else clang on the path; null if none.</summary>
    public static string? Find()
    {
        string? chosen = Environment.GetEnvironmentVariable("LLAVASHARP_CLANG");
        if (!string.IsNullOrEmpty(chosen))
        {
            return chosen;
        }
        string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        return folders.Select(folder => Path.Combine(folder, "clang-14"))
            .Concat(folders.Select(folder => Path.Combine(folder, "clang")))
            .FirstOrDefault(File.Exists);
    }

    /// <summary>Parses a C17 header.</summary>
    /// <param name="header">Path of the header.</param>
    /// <returns>The declarations whose name begins with llv_, in the header's order.</returns>
    /// <exception cref="InvalidDataException">clang is missing, or refuses the header.</exception>
    public static IReadOnlyList<JsonElement> Read(string header)
    {
        string clang = Find() ?? throw new InvalidDataException("clang-14 was not found: run ./build.sh setup");
        ProcessStartInfo start = new(clang, ["-x", "c", "-std=c17", "-fsyntax-only", "-Xclang", "-ast-dump=json", header])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string json = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidDataException($"{clang} refuses {header}:\n{errors.Result.TrimEnd()}");
        }
        // An expression nests deeper than the parser's default of 64 levels.
        using JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 512 });
        return [.. document.RootElement.GetProperty("inner").EnumerateArray()
            .Where(node => node.Name().StartsWith("llv_", StringComparison.Ordinal))
            .Select(node => node.Clone())];
    }

    public static string Kind(this JsonElement node) => node.GetProperty("kind").GetString()!;

    public static string Name(this JsonElement node) =>
        node.TryGetProperty("name", out JsonElement name) ? name.GetString()! : "";

    public static string QualType(this JsonElement node) =>
        node.GetProperty("type").GetProperty("qualType").GetString()!;

    public static IEnumerable<JsonElement> Children(this JsonElement node, string kind = "") =>
        node.TryGetProperty("inner", out JsonElement inner)
            ? inner.EnumerateArray().Where(child => kind.Length == 0 || child.Kind() == kind)
            : [];

    /// <summary>The text of a declaration's doc comment on one line, commands such as @thread left in it.</summary>
    public static string Comment(this JsonElement declaration)
    {
        StringBuilder text = new();
        foreach (JsonElement comment in declaration.Children("FullComment"))
        {
            Append(comment, text);
        }
        return string.Join(' ', text.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }

    private static void Append(JsonElement node, StringBuilder text)
    {
        if (node.Kind() is "InlineCommandComment" or "BlockCommandComment")
        {
            text.Append(" @").Append(node.Name()).Append(' ');
        }
        if (node.TryGetProperty("text", out JsonElement line))
        {
            text.Append(' ').Append(line.GetString());
        }
        foreach (JsonElement child in node.Children())
        {
            Append(child, text);
        }
    }
}
