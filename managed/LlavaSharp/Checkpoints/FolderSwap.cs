namespace LlavaSharp.Checkpoints;

/// <summary>
/// Puts the files of a finished temporary folder, which lies inside the target, in their places. Old files are first moved aside,
/// config.json before all others; then the new ones are moved in, config.json after all others. So a folder with a config.json is wholly
/// the old or wholly the new model, and a process killed in between leaves what <see cref="Recover"/> needs to go back or forward.
/// </summary>
internal static class FolderSwap
{
    // While old files are moved aside, and once all of them are.
    private const string Leaving = ".leaving", Gone = ".gone";

    /// <summary>Replaces the target's model by the temporary folder's.</summary>
    /// <param name="temporary">Holds the new files, complete and flushed; in one level of subfolders at most.</param>
    /// <param name="target">The folder around it.</param>
    /// <exception cref="IOException">A file cannot be moved; the target is as it was.</exception>
    internal static void Run(string temporary, string target)
    {
        string[] added = Files(temporary);
        string leaving = Path.Combine(temporary, Leaving);
        var moved = new Stack<(string From, string To)>();
        try
        {
            foreach (string name in Replaced(target, added).OrderByDescending(IsConfig))
            {
                Move(Path.Combine(target, name), Path.Combine(leaving, name), moved);
            }

            if (Directory.Exists(leaving))
            {
                Directory.Move(leaving, Path.Combine(temporary, Gone));
                leaving = Path.Combine(temporary, Gone);
            }

            MoveIn(temporary, target, added, moved);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            GoBack(moved, Path.Combine(temporary, Leaving), leaving);
            throw;
        }
    }

    /// <summary>Ends what a killed process began: if not all old files were moved aside, they come back; else the new ones go in.</summary>
    /// <param name="temporary">A temporary path in the target; anything but a folder of <see cref="Run"/> is left alone.</param>
    /// <param name="target">The folder around it.</param>
    /// <exception cref="IOException">A file cannot be moved.</exception>
    internal static void Recover(string temporary, string target)
    {
        string leaving = Path.Combine(temporary, Leaving), gone = Path.Combine(temporary, Gone);
        if (Directory.Exists(leaving))
        {
            foreach (string name in Files(leaving).OrderBy(IsConfig))
            {
                Move(Path.Combine(leaving, name), Path.Combine(target, name));
            }
        }
        else if (Directory.Exists(gone))
        {
            MoveIn(temporary, target, [.. Files(temporary).Where(f => !f.StartsWith(Gone, StringComparison.Ordinal))], []);
        }
    }

    private static void MoveIn(string temporary, string target, string[] added, Stack<(string From, string To)> moved)
    {
        foreach (string name in added.OrderBy(IsConfig))
        {
            Move(Path.Combine(temporary, name), Path.Combine(target, name), moved);
        }
    }

    // Names relative to the target. A subfolder is only looked into where the new model has one of that name; a link in its place is
    // replaced itself, so that nothing is written where it leads.
    private static List<string> Replaced(string target, string[] added)
    {
        string[] written = [.. added.Where(f => Path.GetDirectoryName(f) is "")];
        List<string> old = [.. Names(target).Where(name => ModelFiles.IsReplaced(name, written))];
        foreach (IGrouping<string, string> inner in added.GroupBy(f => Path.GetDirectoryName(f)!).Where(g => g.Key.Length > 0))
        {
            string place = Path.Combine(target, inner.Key);
            if (new DirectoryInfo(place).LinkTarget is not null || File.Exists(place))
            {
                old.Add(inner.Key);
                continue;
            }

            string[] names = [.. inner.Select(f => Path.GetFileName(f))];
            old.AddRange(Names(place).Where(name => ModelFiles.IsReplaced(name, names)).Select(name => Path.Combine(inner.Key, name)));
        }

        return old;
    }

    private static void GoBack(Stack<(string From, string To)> moved, string leaving, string now)
    {
        foreach ((string from, string to) in moved)
        {
            string place = to.StartsWith(leaving, StringComparison.Ordinal) ? string.Concat(now, to.AsSpan(leaving.Length)) : to;
            try
            {
                Move(place, from);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // The failure that brought us here is the one to report; the other files still go back.
            }
        }
    }

    private static void Move(string from, string to, Stack<(string From, string To)> moved)
    {
        Move(from, to);
        moved.Push((from, to));
    }

    private static void Move(string from, string to)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(to)!);
        if (Directory.Exists(from) && new DirectoryInfo(from).LinkTarget is not null)
        {
            Directory.Move(from, to);
        }
        else
        {
            File.Move(from, to, overwrite: true);
        }
    }

    private static bool IsConfig(string name) => name == ModelFiles.Config;

    private static IEnumerable<string> Names(string folder) =>
        Directory.Exists(folder) ? Directory.GetFiles(folder).Select(f => Path.GetFileName(f)!) : [];

    private static string[] Files(string folder) =>
        [.. Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(folder, file))];
}
