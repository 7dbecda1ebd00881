using System.Text.RegularExpressions;

namespace LlavaSharp.Tidy.Tests;

/// <summary>
/// The only legal arrows: Cli → LlavaSharp → Interop → [llavasharp.h] → abi → train → model → layers → backend → core →
/// libtorch. A native layer may include itself and any layer below; the header holds types that every layer may name.
/// Modules, which the engine opens at run time, know its transport interface alone.
/// </summary>
public static partial class LayerRules
{
    private static readonly string[] NativeLayers = ["core", "backend", "layers", "model", "train", "abi"];

    // What a folder of managed code may name of ours, beside itself. The generator stands alone: it makes the bindings.
    private static readonly (string Folder, string[] MayUse)[] ManagedFolders =
    [
        ("managed/LlavaSharp.Cli", ["LlavaSharp"]),
        ("managed/LlavaSharp", ["LlavaSharp", "LlavaSharp.Interop"]),
        ("interop/LlavaSharp.Interop", ["LlavaSharp.Interop"]),
        ("interop/LlavaSharp.BindingGenerator", ["LlavaSharp.BindingGenerator"]),
    ];

    // Inside the library: what reads files and makes tensors knows nothing of what trains.
    private static readonly string[] Upper = ["Training", "Generation", "Reporting", "Parity", "Demo", "Benchmarks"];
    private static readonly string[] Lower = ["Data", "Imaging", "Tokenization", "Templates", "Sampling", "Checkpoints", "Lora", "Gguf"];

    public static IEnumerable<Violation> NativeIncludes(SourceTree tree) =>
        from file in tree.Files
        where file.IsCpp && file.Under("native") && !file.Under("native/bench")
        let layer = file.Path.Split('/')[1]
        from line in Enumerable.Range(0, file.Lines.Length)
        let include = IncludePattern().Match(file.Lines[line])
        where include.Success && !IncludeAllowed(layer, include.Groups[1].Value)
        select new Violation(file.Path, line + 1, $"{layer} may not include {include.Groups[1].Value}");

    private static bool IncludeAllowed(string layer, string include)
    {
        string name = include.Trim('"', '<', '>');
        string target = name.Split('/')[0];
        if (include[0] == '<')
        {
            return target switch
            {
                "hwy" => layer is "backend" or "core",
                "torch" or "ATen" or "c10" or "gtest" or "benchmark" => false,
                _ => !NativeLayers.Contains(target),
            };
        }

        bool header = name is "llavasharp.h" or "include/llavasharp.h";
        bool highway = target == "hwy" && layer is "backend" or "core";
        if (layer == "modules")
        {
            return name == "train/transport.h" || target == "modules";
        }

        int from = Array.IndexOf(NativeLayers, layer);
        int to = Array.IndexOf(NativeLayers, target);
        return layer != "include" && (header || highway || (to >= 0 && to <= from));
    }

    public static IEnumerable<Violation> LibtorchInCore(SourceTree tree) =>
        from file in tree.Files
        where file.IsCpp && file.Under("native") && !file.Under("native/core")
        from Match match in LibtorchPattern().Matches(file.Code)
        select new Violation(file.Path, file.LineAt(match.Index), $"{match.Value} outside native/core");

    public static IEnumerable<Violation> ManagedNamespaces(SourceTree tree) =>
        from file in tree.Files
        where file.IsCSharp
        from rule in ManagedFolders
        where file.Under(rule.Folder)
        from Match match in NamespacePattern().Matches(file.Code)
        where !NamespaceAllowed(file, rule, match.Groups["name"].Value)
        select new Violation(
            file.Path, file.LineAt(match.Index), $"{rule.Folder} may not use {match.Groups["name"].Value}");

    private static bool NamespaceAllowed(SourceFile file, (string Folder, string[] MayUse) rule, string name)
    {
        bool Is(string root) => name == root || name.StartsWith(root + ".", StringComparison.Ordinal);
        string own = rule.Folder.Split('/')[1];
        string[] others = ["LlavaSharp.Cli", "LlavaSharp.Interop", "LlavaSharp.BindingGenerator"];
        string? project = others.FirstOrDefault(Is);
        if (project is not null)
        {
            return project == own || rule.MayUse.Contains(project);
        }

        if (!rule.MayUse.Contains("LlavaSharp"))
        {
            return !Is("LlavaSharp");
        }

        bool fromLower = Lower.Any(folder => file.Under("managed/LlavaSharp/" + folder));
        return !(fromLower && Upper.Any(folder => Is("LlavaSharp." + folder)));
    }

    public static IEnumerable<Violation> NamespaceIsFolder(SourceTree tree) =>
        from file in tree.Files
        where file.IsCSharp && (file.Under("managed") || file.Under("interop")) && !file.IsGenerated
        let declared = DeclarationPattern().Match(file.Code)
        where declared.Success
        let parts = file.Path.Split('/')
        let expected = string.Join('.', parts[1..^1])
        where declared.Groups[1].Value != expected
        select new Violation(
            file.Path, file.LineAt(declared.Index), $"namespace {declared.Groups[1].Value} in folder of {expected}");

    public static IEnumerable<Violation> ProjectReferences(SourceTree tree) =>
        from file in tree.Files
        where file.Has(".csproj") && !file.Under("tests")
        let project = Path.GetFileNameWithoutExtension(file.Path)
        from Match match in ReferencePattern().Matches(file.Text)
        let edge = $"{project} -> {match.Groups[1].Value}"
        where edge is not ("LlavaSharp.Cli -> LlavaSharp" or "LlavaSharp -> LlavaSharp.Interop")
        select new Violation(file.Path, file.LineAt(match.Index), edge);

    [GeneratedRegex("""^\s*#\s*include\s*("[^"]+"|<[^>]+>)""")]
    private static partial Regex IncludePattern();

    [GeneratedRegex(@"\b(aoti_torch_|torch_(call_dispatcher|library|list|string|delete|dtype|exception)\w*)\w*\s*\(")]
    private static partial Regex LibtorchPattern();

    [GeneratedRegex(@"(?<!namespace\s+)\b(?<name>LlavaSharp(\.[A-Z]\w*)+)")]
    private static partial Regex NamespacePattern();

    [GeneratedRegex(@"^namespace\s+([\w.]+)", RegexOptions.Multiline)]
    private static partial Regex DeclarationPattern();

    [GeneratedRegex("""<ProjectReference Include="[^"]*/([\w.]+)\.csproj" """)]
    private static partial Regex ReferencePattern();
}
