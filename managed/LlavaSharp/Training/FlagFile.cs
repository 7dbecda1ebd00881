namespace LlavaSharp.Training;

/// <summary>
/// A file of flags for <c>--config</c>: an object of names and values, or train_config.json of an earlier run, whose flags
/// are read. Flags of the command line come after it and so count more.
/// </summary>
internal static class FlagFile
{
    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <returns>Names and values as texts, in the file's order; null values are left out.</returns>
    /// <exception cref="UserErrorException">It cannot be read, or a value is neither text, number nor boolean.</exception>
    public static IReadOnlyList<(string Name, string Value)> Read(string path)
    {
        var flags = UserJson.Read("--config", path, " of flags").SectionOrSelf("flags");
        return
        [
            .. from name in flags.Keys
               let value = flags.Argument(name)
               where value is not null
               select (name, value),
        ];
    }
}
