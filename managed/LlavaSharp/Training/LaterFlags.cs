namespace LlavaSharp.Training;

/// <summary>
/// Flags of the recipe for what this build does not do. They are not "unknown": the message says what is missing,
/// and a value that switches the thing off is accepted.
/// </summary>
internal static class LaterFlags
{
    private static readonly Dictionary<string, (string What, string[] Off)> Known = new(StringComparer.Ordinal)
    {
        ["bits"] = ("quantised training", ["16"]),
    };

    public static IEnumerable<string> Names => Known.Keys;

    public static bool Contains(string name) => Known.ContainsKey(name);

    /// <summary>Whether a flag is one of these, and may be passed over.</summary>
    /// <exception cref="UserErrorException">The value asks for what is missing.</exception>
    public static bool Pass(string name, string? value)
    {
        if (!Known.TryGetValue(name, out var flag))
        {
            return false;
        }

        return flag.Off.Contains(value ?? "True", StringComparer.OrdinalIgnoreCase)
            ? true
            : throw new UserErrorException(
                $"--{name}{(value is null ? "" : " " + value)}: {flag.What} is not in this build yet; leave the flag out");
    }
}
