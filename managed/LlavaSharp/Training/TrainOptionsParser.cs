namespace LlavaSharp.Training;

/// <summary>
/// Reads <c>train</c>'s arguments as Hugging Face's argument parser does: <c>--flag value</c>, <c>--flag=value</c>, a boolean alone
/// or with True or False, <c>--no_flag</c> for a boolean; the last of repeated flags counts.
/// </summary>
public static class TrainOptionsParser
{
    private static readonly Dictionary<string, TrainFlag> Flags = TrainFlags.All.ToDictionary(f => f.Name, StringComparer.Ordinal);

    /// <summary>Reads arguments.</summary>
    /// <param name="arguments">What follows <c>train</c>.</param>
    /// <returns>The options, and lines about flags that this build treats in its own way, each once.</returns>
    /// <exception cref="UserErrorException">A flag is unknown (the message names the nearest), lacks its
    /// value, or has a bad one.</exception>
    public static (TrainOptions Options, IReadOnlyList<string> Notes) Parse(IReadOnlyList<string> arguments)
    {
        var options = new TrainOptions();
        var notes = new List<string>();
        for (var i = 0; i < arguments.Count; i++)
        {
            if (!arguments[i].StartsWith("--", StringComparison.Ordinal))
            {
                throw new UserErrorException($"'{arguments[i]}' is not a flag; flags start with --, such as --data_path data.json");
            }

            var (name, value) = Split(arguments[i][2..]);
            if (!Flags.ContainsKey(name) && name.StartsWith("no_", StringComparison.Ordinal) && value is null
                && Flags.TryGetValue(name[3..], out var negated) && negated.IsBoolean)
            {
                (name, value) = (negated.Name, "False");
            }

            var known = Flags.TryGetValue(name, out var flag);
            if (!known && !LaterFlags.Contains(name))
            {
                throw new UserErrorException(
                    $"unknown flag --{name}{NearestName.Hint(name, Flags.Keys.Concat(LaterFlags.Names), "--")}");
            }

            if (value is null && i + 1 < arguments.Count && !arguments[i + 1].StartsWith("--", StringComparison.Ordinal))
            {
                value = arguments[++i];
            }

            if (!known)
            {
                LaterFlags.Check(name, value);
                continue;
            }

            value ??= flag!.IsBoolean ? "True" : throw new UserErrorException($"--{name} needs a value");
            options = flag!.Apply(options, value);
            if (flag.Note?.Invoke(value) is { } note && !notes.Contains(note))
            {
                notes.Add(note);
            }
        }

        return (options, notes);
    }

    private static (string Name, string? Value) Split(string text)
    {
        var at = text.IndexOf('=', StringComparison.Ordinal);
        return at < 0 ? (text, null) : (text[..at], text[(at + 1)..]);
    }
}
