using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace LlavaSharp.Checkpoints;

/// <summary>Names of files and folders that are being written, <c>NAME.PID-GUID.tmp</c>, and their removal: at the end of the work, when
/// the process is asked to end at once, and, after a process that was killed, when the same place is written again.</summary>
public static partial class Temporaries
{
    private static readonly Lock Gate = new();
    private static readonly HashSet<string> Live = new(StringComparer.Ordinal);

    /// <summary>Gives a name beside a path, in the same folder, and remembers it until <see cref="End"/>. Nothing is made yet.</summary>
    /// <param name="path">The file or folder that is to appear.</param>
    /// <returns>An unused path.</returns>
    public static string Begin(string path)
    {
        string temporary = string.Create(
            CultureInfo.InvariantCulture, $"{Path.GetFullPath(path)}.{Environment.ProcessId}-{Guid.NewGuid():N}.tmp");
        Watch(temporary);
        return temporary;
    }

    /// <summary>Remembers a temporary path of another form, such as a checkpoint's, until <see cref="End"/>.</summary>
    /// <param name="temporary">The path.</param>
    public static void Watch(string temporary)
    {
        lock (Gate)
        {
            Live.Add(Path.GetFullPath(temporary));
        }
    }

    /// <summary>Whether a path lies in a temporary folder: then nobody sees it before that folder is in its place.</summary>
    /// <param name="path">The path.</param>
    /// <returns>True below a path that is remembered.</returns>
    public static bool Contains(string path)
    {
        string full = Path.GetFullPath(path);
        lock (Gate)
        {
            return Live.Any(temporary => full.StartsWith(temporary + Path.DirectorySeparatorChar, StringComparison.Ordinal));
        }
    }

    /// <summary>Deletes what is left under a temporary name, and forgets it. A failure is kept quiet: another one led here.</summary>
    /// <param name="temporary">A path of <see cref="Begin"/>.</param>
    public static void End(string temporary)
    {
        TryDelete(temporary);
        lock (Gate)
        {
            Live.Remove(Path.GetFullPath(temporary));
        }
    }

    /// <summary>Runs the renames that put finished files in their places. <see cref="Abandon"/> waits for them.</summary>
    /// <param name="renames">Renames alone: quick, whatever the sizes.</param>
    public static void Commit(Action renames)
    {
        lock (Gate)
        {
            renames();
        }
    }

    /// <summary>Deletes everything that this process is still writing. Nothing is renamed into place afterwards, so this is for a process
    /// that ends at once.</summary>
    public static void Abandon()
    {
        Gate.Enter();
        foreach (string temporary in Live)
        {
            TryDelete(temporary);
        }
    }

    /// <summary>Deletes what processes that no longer run have left in a folder, and beside it under the folder's name. A folder whose
    /// files were being put in place is put in order first, see <see cref="FolderSwap"/>.</summary>
    /// <param name="folder">The folder; it need not exist.</param>
    /// <exception cref="IOException">The folder cannot be read, or a file of it cannot be moved.</exception>
    public static void RemoveLeftovers(string folder)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        string? parent = Path.GetDirectoryName(full);
        foreach (string entry in Entries(full))
        {
            if (IsLeftover(entry))
            {
                FolderSwap.Recover(entry, full);
                TryDelete(entry);
            }
        }

        string name = Path.GetFileName(full);
        foreach (string entry in parent is null || name.Length == 0 ? [] : Entries(parent))
        {
            if (NamePattern().Match(Path.GetFileName(entry)) is { Success: true } match && match.Groups["name"].Value == name
                && IsLeftover(entry))
            {
                TryDelete(entry);
            }
        }
    }

    /// <summary>Whether a path has a temporary name of ours, and whoever made it is gone.</summary>
    /// <param name="path">The path.</param>
    /// <returns>False for every other name, and while the writer runs on this machine.</returns>
    public static bool IsLeftover(string path)
    {
        string name = Path.GetFileName(path);
        Match match = NamePattern().Match(name);
        match = match.Success ? match : CheckpointPattern().Match(name);
        return match.Success && int.TryParse(match.Groups["pid"].Value, NumberStyles.None, CultureInfo.InvariantCulture, out int process)
            && !IsWriting(path, process);
    }

    private static bool IsWriting(string path, int process)
    {
        if (process == Environment.ProcessId)
        {
            lock (Gate)
            {
                return Live.Contains(path);
            }
        }

        try
        {
            // A number that has been given to another process since: that one is younger than what was written.
            using Process writer = Process.GetProcessById(process);
            return writer.StartTime.ToUniversalTime() <= File.GetLastWriteTimeUtc(path).AddSeconds(2);
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException)
        {
            return false;
        }
        catch (Win32Exception)
        {
            return true;
        }
    }

    private static string[] Entries(string folder)
    {
        try
        {
            return Directory.Exists(folder) ? Directory.GetFileSystemEntries(folder) : [];
        }
        catch (UnauthorizedAccessException)
        {
            // A folder above that may not be listed holds nothing of ours that could be removed.
            return [];
        }
    }

    private static void TryDelete(string path)
    {
        try
        {
            if (Directory.Exists(path) && new DirectoryInfo(path).LinkTarget is null)
            {
                Directory.Delete(path, recursive: true);
            }
            else
            {
                File.Delete(path);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It bears a temporary name; the next process that writes here tries again.
        }
    }

    [GeneratedRegex(@"^(?<name>.+)\.(?<pid>[0-9]+)-[0-9a-f]{32}\.tmp$", RegexOptions.ExplicitCapture)]
    private static partial Regex NamePattern();

    [GeneratedRegex("^tmp-checkpoint-[0-9]+-(?<pid>[0-9]+)-[0-9a-f]{32}$", RegexOptions.ExplicitCapture)]
    private static partial Regex CheckpointPattern();
}
