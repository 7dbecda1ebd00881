using LlavaSharp.Training.Resume;

namespace LlavaSharp.Training;

/// <summary>Guards the folder a run writes into, before the run begins.</summary>
public static class OutputFolder
{
    // What a run leaves that was killed before its first checkpoint: nothing that anyone would miss.
    private static readonly string[] EarlyFiles = ["log.jsonl", Reporting.EventFile.FileName, ResolvedConfig.FileName];

    /// <summary>Whether all that a folder holds is what a run leaves that ended before its first checkpoint.</summary>
    /// <param name="path">The folder.</param>
    /// <returns>True also when it is empty or missing.</returns>
    public static bool HoldsOnlyAnEndedRun(string path) =>
        !Directory.Exists(path) || Directory.EnumerateFileSystemEntries(path).All(entry => Directory.Exists(entry)
            ? CheckpointStore.IsUnfinished(Path.GetFileName(entry))
            : EarlyFiles.Contains(Path.GetFileName(entry)) || entry.EndsWith(".tmp", StringComparison.Ordinal));

    /// <summary>Refuses a path that <see cref="Prepare"/> would refuse for what is there, and makes nothing.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="overwrite">Whether it may hold files already.</param>
    /// <param name="flag">The flag that names the folder, for messages.</param>
    /// <param name="overwriteFlag">The flag that allows a non-empty one, for messages.</param>
    /// <exception cref="UserErrorException">It holds files, or is a file.</exception>
    public static void Check(string path, bool overwrite, string flag = "--output_dir", string overwriteFlag = "--overwrite_output_dir True")
    {
        if (File.Exists(path))
        {
            throw new UserErrorException($"{flag} {path} is a file; name a folder");
        }

        if (!overwrite && Directory.Exists(path) && Directory.EnumerateFileSystemEntries(path).Any())
        {
            throw new UserErrorException($"{flag} {path} is not empty; choose another folder or pass {overwriteFlag}");
        }
    }

    /// <summary>Makes the folder and proves that it can be written into.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="overwrite">Whether it may hold files already. They stay, unless the run writes their names.</param>
    /// <param name="flag">The flag that names the folder, for messages.</param>
    /// <param name="overwriteFlag">The flag that allows a non-empty one, for messages.</param>
    /// <exception cref="UserErrorException">It holds files, is a file, or cannot be written into.</exception>
    public static void Prepare(string path, bool overwrite, string flag = "--output_dir", string overwriteFlag = "--overwrite_output_dir True")
    {
        try
        {
            Check(path, overwrite, flag, overwriteFlag);
            Directory.CreateDirectory(path);
            var probe = Path.Combine(path, $".probe-{Guid.NewGuid():N}");
            using (new FileStream(probe, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose))
            {
                // Only that it can be made matters; closing removes it.
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"cannot write into {flag} {path}: {e.Message}", e);
        }
    }
}
