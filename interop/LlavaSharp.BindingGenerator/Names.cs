namespace LlavaSharp.BindingGenerator;

/// <summary>How C names become C# names: llv_model_parameter_get is ModelParameterGet.</summary>
internal static class Names
{
    // Enums are public; these would be misread under their C name, or are spelled otherwise in .NET.
    private static readonly Dictionary<string, string> PublicEnums = new(StringComparer.Ordinal)
    {
        ["llv_status_code"] = "EngineStatus",
        ["llv_dtype"] = "ElementType",
        ["llv_projector"] = "ProjectorKind",
        ["llv_unit_kind"] = "UnitKinds",
    };

    public static string Enum(string name) => PublicEnums.GetValueOrDefault(name) ?? Type(name);

    public static string Type(string name) => Pascal(name["llv_".Length..]);

    public static string Pascal(string name) => string.Concat(name.Split('_').Select(word => word.ToUpperInvariant() switch
    {
        "" => "",
        "BFLOAT16" => "BFloat16",
        string upper => upper[0] + word[1..].ToLowerInvariant(),
    }));

    public static string Camel(string name) => char.ToLowerInvariant(name[0]) + Pascal(name)[1..];

    /// <summary>An enum's members without the words that all of them begin with.</summary>
    public static IEnumerable<string> Members(EnumModel model)
    {
        string[][] words = [.. model.Members.Select(member => member.Name.Split('_'))];
        int common = 1;
        while (words.Length > 1 && words.All(name => name.Length > common + 1 && name[common] == words[0][common]))
        {
            common++;
        }
        return words.Select(name => Pascal(string.Join('_', name.Skip(common))));
    }
}
