namespace LlavaSharp.Tidy.Tests;

/// <summary>A rule: what a tree breaks.</summary>
public delegate IEnumerable<Violation> Rule(SourceTree tree);

/// <summary>Every rule by its name. A rule without an example that breaks it fails a test.</summary>
public static class Rules
{
    public static IReadOnlyDictionary<string, Rule> All { get; } = new Dictionary<string, Rule>
    {
        ["native includes go down"] = LayerRules.NativeIncludes,
        ["libtorch's C functions are called in core"] = LayerRules.LibtorchInCore,
        ["managed namespaces go down"] = LayerRules.ManagedNamespaces,
        ["a namespace is its folder"] = LayerRules.NamespaceIsFolder,
        ["project references go down"] = LayerRules.ProjectReferences,
        ["imports are generated"] = CodeRules.NoHandWrittenImports,
        ["the engine never ends the process"] = CodeRules.NoExit,
        ["the library is reproducible"] = CodeRules.NoAmbientState,
        ["the library does not write to the console"] = CodeRules.NoConsole,
        ["one public type a file"] = CodeRules.OnePublicType,
        ["files are short"] = SizeRules.ShortFiles,
        ["lines are short"] = SizeRules.ShortLines,
        ["functions are short"] = SizeRules.ShortFunctions,
        ["text is clean"] = TextRules.CleanText,
        ["nothing is left to do"] = TextRules.NothingLeftToDo,
        ["no path of one machine"] = TextRules.NoMachinePaths,
        ["addresses are public"] = TextRules.PublicAddresses,
        ["the readme is short"] = DocumentRules.ShortReadme,
        ["documents have a title"] = DocumentRules.Titles,
        ["links lead somewhere"] = DocumentRules.Links,
    };
}
