namespace LlavaSharp.Training;

/// <summary>
/// Reads <c>train</c>'s arguments as Hugging Face's argument parser does: <c>--flag value</c>, <c>--flag=value</c>, a boolean alone
/// or with True or False, <c>--no_flag</c> for a boolean; the last of repeated flags counts. Then come the files that flags name:
/// <c>--config</c>, which is read as if its flags stood first, and <c>--deepspeed</c>.
/// </summary>
public static class TrainOptionsParser
{
    private static readonly Dictionary<string, TrainFlag> Flags = TrainFlags.All.ToDictionary(f => f.Name, StringComparer.Ordinal);

    /// <summary>Reads arguments.</summary>
    /// <param name="arguments">What follows <c>train</c>.</param>
    /// <param name="world">Processes.</param>
    /// <returns>The options, and lines about flags that this build treats in its own way, each once.</returns>
    /// <exception cref="UserErrorException">A flag is unknown (the message names the nearest), lacks its
    /// value, or has a bad one.</exception>
    public static (TrainOptions Options, IReadOnlyList<string> Notes) Parse(IReadOnlyList<string> arguments, int world = 1)
    {
        var given = Split(arguments);
        if (given.LastOrDefault(g => g.Name == "config") is { Value: { } config })
        {
            given = [.. FlagFile.Read(config).Select(f => Check(f.Name, f.Value, $"--config {config}: ", "")), .. given];
        }

        var options = new TrainOptions();
        var last = new Dictionary<string, string>();
        foreach (var (name, value, where) in given)
        {
            var flag = Flags[name];
            var text = value ?? (flag.IsBoolean ? "True" : throw new UserErrorException($"--{name} needs a value"));
            options = Apply(flag, options, text, where);
            last[name] = text;
        }

        if (options.UseHabana && !last.ContainsKey("adam_epsilon"))
        {
            // What optimum-habana's own training arguments have in place of torch's 1e-8.
            options = options with { AdamEpsilon = 1e-6 };
        }

        // A flag that is given twice is answered for the value that counts.
        var notes = last.Select(f => Flags[f.Key].Note?.Invoke(f.Value)).OfType<string>().ToList();
        if (options.DeepSpeed is not null)
        {
            var (resolved, more) = DeepSpeedFile.Apply(options, last.Keys.ToHashSet(), world);
            options = resolved;
            notes.AddRange(more);
        }

        return (options, [.. notes.Distinct()]);
    }

    /// <summary>Reads the flags of an earlier run from its train_config.json. What its DeepSpeed file decided is among them, so that file,
    /// which may be gone, or be for other processes, is not read again.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The options.</returns>
    /// <exception cref="UserErrorException">The file cannot be read, or holds an unknown flag or a bad value.</exception>
    public static TrainOptions ParseRun(string path) => Parse(
        [.. FlagFile.Read(path).Where(f => f.Name != "deepspeed").Select(f => $"--{f.Name}={f.Value}")]).Options;

    // An error of a value in a file names the file.
    private static TrainOptions Apply(TrainFlag flag, TrainOptions options, string text, string where)
    {
        try
        {
            return flag.Apply(options, text);
        }
        catch (UserErrorException e) when (where.Length > 0)
        {
            throw new UserErrorException(where + e.Message, e);
        }
    }

    private static List<(string Name, string? Value, string Where)> Split(IReadOnlyList<string> arguments)
    {
        var given = new List<(string, string?, string)>();
        for (var i = 0; i < arguments.Count; i++)
        {
            if (!arguments[i].StartsWith("--", StringComparison.Ordinal))
            {
                throw new UserErrorException($"'{arguments[i]}' is not a flag; flags start with --, such as --data_path data.json");
            }

            var text = arguments[i][2..];
            var at = text.IndexOf('=', StringComparison.Ordinal);
            var (name, value) = at < 0 ? (Spelling(text), null) : (Spelling(text[..at]), text[(at + 1)..]);
            if (value is null && i + 1 < arguments.Count && !arguments[i + 1].StartsWith("--", StringComparison.Ordinal)
                && !IsNegation(name))
            {
                value = arguments[++i];
            }

            given.Add(Check(name, value, "", "--"));
        }

        return given;
    }

    private static bool IsNegation(string name) =>
        !Flags.ContainsKey(name) && name.StartsWith("no_", StringComparison.Ordinal)
        && Flags.TryGetValue(name[3..], out var negated) && negated.IsBoolean;

    // torch's launchers write it so, and no user.
    private static string Spelling(string name) => name == "local-rank" ? "local_rank" : name;

    private static (string Name, string? Value, string Where) Check(string name, string? value, string where, string dashes) =>
        IsNegation(name) && value is null ? (name[3..], "False", where)
        : Flags.ContainsKey(name) ? (name, value, where)
        : throw new UserErrorException(
            $"{where}unknown flag {dashes}{name}{NearestName.Hint(name, Flags.Keys, dashes)}");
}
