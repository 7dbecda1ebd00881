using LlavaSharp.Checkpoints;
using LlavaSharp.Training.Resume;

namespace LlavaSharp.Training;

/// <summary>Guards the folder that a run or a conversion writes into, before the work begins.</summary>
public static class OutputFolder
{
    // What a run leaves that was killed before its first checkpoint: nothing that anyone would miss.
    private static readonly string[] EarlyFiles = ["log.jsonl", Reporting.EventFile.FileName, ResolvedConfig.FileName];

    /// <summary>Whether all that a folder holds is what a run leaves that ended before its first checkpoint.</summary>
    /// <param name="path">The folder.</param>
    /// <returns>True also when it is empty or missing.</returns>
    public static bool HoldsOnlyAnEndedRun(string path) =>
        !Directory.Exists(path) || Content(path).All(entry => !Directory.Exists(entry) && IsEarly(Path.GetFileName(entry)));

    private static bool IsEarly(string name) => EarlyFiles.Contains(name) || SkippedSamples.IsReport(name);

    /// <summary>Refuses a path that <see cref="Prepare"/> would refuse, and makes nothing that stays.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="overwrite">Whether it may hold files already.</param>
    /// <param name="flag">The flag that names the folder, for messages.</param>
    /// <param name="overwriteFlag">The flag that allows a non-empty one, for messages.</param>
    /// <exception cref="UserErrorException">It holds files, is a file, or cannot be written into.</exception>
    public static void Check(string path, bool overwrite, string flag = "--output_dir", string overwriteFlag = "--overwrite_output_dir True")
    {
        path = Directory.Exists(path) ? path : Missing(path);
        if (File.Exists(path))
        {
            throw new UserErrorException($"{flag} {path} is a file; name a folder");
        }

        if (!overwrite && Directory.Exists(path) && Content(path).FirstOrDefault() is not null)
        {
            var foreign = new CheckpointStore(path).Foreign().Select(c => Path.GetFileName(c.Path)).FirstOrDefault();
            throw new UserErrorException(foreign is null
                ? $"{flag} {path} is not empty; choose another folder or pass {overwriteFlag}"
                : $"{flag} {path} holds {foreign} of another program, which cannot be gone on from and is left alone; choose another folder");
        }

        CheckWritable(path, flag);
    }

    /// <summary>Makes the folder and proves that it can be written into.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="overwrite">Whether it may hold files already. They stay, unless the run writes their names.</param>
    /// <param name="flag">The flag that names the folder, for messages.</param>
    /// <param name="overwriteFlag">The flag that allows a non-empty one, for messages.</param>
    /// <exception cref="UserErrorException">It holds files, is a file, or cannot be written into.</exception>
    public static void Prepare(string path, bool overwrite, string flag = "--output_dir", string overwriteFlag = "--overwrite_output_dir True")
    {
        Check(path, overwrite, flag, overwriteFlag);
        Try(path, flag, () =>
        {
            Directory.CreateDirectory(Missing(path));
            Temporaries.RemoveLeftovers(path);
            Probe(path);
        });
    }

    /// <summary>Proves that files can be made in a folder, or, where it does not exist, in the nearest one above it that does.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="flag">The flag that names it, for messages.</param>
    /// <exception cref="UserErrorException">They cannot.</exception>
    public static void CheckWritable(string path, string flag = "--output_dir") => Try(path, flag, () =>
    {
        var folder = RealPath.Of(path);
        while (!Directory.Exists(folder) && !File.Exists(folder))
        {
            folder = Path.GetDirectoryName(folder)!;
        }

        Probe(folder);
    });

    // A link that leads nowhere yet counts as a file for the system; what it leads to can be made.
    private static string Missing(string path) => File.Exists(path) && !File.Exists(RealPath.Of(path)) ? RealPath.Of(path) : path;

    // Only that a file can be made matters; closing removes it.
    private static void Probe(string folder)
    {
        var probe = Temporaries.Begin(Path.Combine(folder, ".probe"));
        try
        {
            using var file = new FileStream(probe, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1);
        }
        finally
        {
            Temporaries.End(probe);
        }
    }

    // What a killed process was writing does not count, nor what a file system puts into every disk.
    private static IEnumerable<string> Content(string path) => Directory.EnumerateFileSystemEntries(path)
        .Where(entry => Path.GetFileName(entry) != "lost+found" && !Temporaries.IsLeftover(entry));

    private static void Try(string path, string flag, Action work)
    {
        try
        {
            work();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"cannot write into {flag} {path}: {e.Message}", e);
        }
    }
}
