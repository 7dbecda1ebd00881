using System.Globalization;
using LlavaSharp.Checkpoints;
using LlavaSharp.Zero;

namespace LlavaSharp.Training.Resume;

/// <summary>
/// The checkpoint-N folders of an output folder. A checkpoint is filled under another name, flushed, and renamed: under
/// its own name it is always whole. An older one goes only after the newer one is in its place.
/// </summary>
/// <param name="output">The output folder.</param>
/// <param name="limit">How many are kept; null keeps all.</param>
public sealed class CheckpointStore(string output, int? limit = null)
{
    private const string Prefix = "checkpoint-", Unfinished = "tmp-checkpoint-", Damaged = "damaged-checkpoint-";

    /// <summary>The checkpoints, newest first, whole or not.</summary>
    /// <returns>Number of updates, and folder.</returns>
    public IReadOnlyList<(int Step, string Path)> List() => !Directory.Exists(output) ? [] :
    [
        .. Directory.GetDirectories(output, Prefix + "*")
            .Select(path => (Step: StepOf(path), Path: path))
            .Where(c => c.Step >= 0)
            .OrderByDescending(c => c.Step),
    ];

    /// <summary>The newest checkpoint that is as it was written.</summary>
    /// <param name="damaged">Receives each newer one that is not, with what is wrong with it.</param>
    /// <returns>The folder, or null.</returns>
    public string? FindNewest(Action<string, string> damaged)
    {
        foreach (var (_, path) in List())
        {
            if (CheckpointManifest.FindDamage(path) is not { } damage)
            {
                return path;
            }

            damaged(path, damage);
        }

        return null;
    }

    /// <summary>Writes a checkpoint, then deletes those that are too many. With several processes each fills in its files; the
    /// checkpoint is there when those of all are on the disk.</summary>
    /// <param name="step">Updates done.</param>
    /// <param name="fill">Writes this process's files into the folder it is given; where it fails on one process, it fails on all.</param>
    /// <param name="ranks">The processes, which see the same folder; null for one.</param>
    /// <returns>The checkpoint's folder.</returns>
    /// <exception cref="UserErrorException">It cannot be written; the older ones are as they were.</exception>
    public string Save(int step, Action<string> fill, Ranks? ranks = null)
    {
        ranks ??= Ranks.Single;
        var target = Path.Combine(output, Name(Prefix, step));
        var temporary = ranks.Gather("naming a checkpoint", ranks.IsFirst ? Aside(step) : "")[0];
        try
        {
            First(() => Directory.CreateDirectory(temporary));
            fill(temporary);
            var hashes = ranks.World == 1 ? null : Hashes(ranks, temporary);
            First(() => Finish(step, temporary, target, hashes));
            return target;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw AtomicFile.CannotWrite(target, e);
        }
        finally
        {
            if (ranks.IsFirst)
            {
                TryDelete(temporary);
            }
        }

        void First(Action work) => ranks.Together("writing a checkpoint", () =>
        {
            try
            {
                if (ranks.IsFirst)
                {
                    work();
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw AtomicFile.CannotWrite(target, e);
            }
        });
    }

    // Shards are large: each process hashes its own.
    private static Dictionary<string, string> Hashes(Ranks ranks, string folder)
    {
        var name = StoredState.ShardName(ranks.Rank, ranks.World);
        var path = Path.Combine(folder, name);
        var own = File.Exists(path) ? $"{name}={CheckpointManifest.Sha256(path)}" : "";
        return ranks.Gather("hashing a checkpoint", own).Where(h => h.Length > 0).Select(h => h.Split('=')).ToDictionary(h => h[0], h => h[1]);
    }

    private void Finish(int step, string temporary, string target, Dictionary<string, string>? hashes)
    {
        CheckpointManifest.Write(temporary, hashes);
        if (Directory.Exists(target))
        {
            // Of an earlier try, past the checkpoint that this run went on from.
            Directory.Move(target, Aside(step));
        }

        Directory.Move(temporary, target);
        Rotate(step);
        RemoveLeftovers();
    }

    /// <summary>Deletes what writing was cut short of, and nothing else.</summary>
    public void RemoveLeftovers() => Array.ForEach(Directory.GetDirectories(output, Unfinished + "*"), TryDelete);

    /// <summary>Deletes every checkpoint: a run that begins anew must not leave others' states to go on from.</summary>
    /// <exception cref="UserErrorException">One cannot be deleted.</exception>
    public void RemoveAll()
    {
        foreach (var (step, path) in List())
        {
            Remove(step, path);
        }
    }

    /// <summary>Renames a damaged checkpoint, so that it is never chosen again and never counted.</summary>
    /// <param name="path">Its folder.</param>
    /// <returns>Where it is now.</returns>
    /// <exception cref="UserErrorException">It cannot be renamed.</exception>
    public string SetAside(string path)
    {
        var step = StepOf(path);
        var target = Path.Combine(output, Name(Damaged, step));
        for (var copy = 2; Directory.Exists(target); copy++)
        {
            target = Path.Combine(output, string.Create(CultureInfo.InvariantCulture, $"{Damaged}{step}-{copy}"));
        }

        return Try(path, () => Directory.Move(path, target), target);
    }

    /// <summary>Whether a folder is a checkpoint whose writing was cut short.</summary>
    /// <param name="name">The folder's name.</param>
    /// <returns>True for what <see cref="RemoveLeftovers"/> deletes.</returns>
    public static bool IsUnfinished(string name) => name.StartsWith(Unfinished, StringComparison.Ordinal);

    // Later ones belong to a run that this one has gone back behind; it will write over them.
    private void Rotate(int newest)
    {
        foreach (var (step, path) in limit is { } keep ? List().Where(c => c.Step <= newest).Skip(keep) : [])
        {
            Remove(step, path);
        }
    }

    // A folder that is being deleted no longer bears a checkpoint's name.
    private void Remove(int step, string path)
    {
        var aside = Aside(step);
        Try(path, () => Directory.Move(path, aside), aside);
        TryDelete(aside);
    }

    private string Aside(int step) => Path.Combine(
        output, string.Create(CultureInfo.InvariantCulture, $"{Unfinished}{step}-{Environment.ProcessId}-{Guid.NewGuid():N}"));

    private static string Name(string prefix, int step) => string.Create(CultureInfo.InvariantCulture, $"{prefix}{step}");

    private static int StepOf(string path)
    {
        var name = Path.GetFileName(path);
        return name.StartsWith(Prefix, StringComparison.Ordinal)
            && int.TryParse(name[Prefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out var step) ? step : -1;
    }

    private static string Try(string path, Action action, string result)
    {
        try
        {
            action();
            return result;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw AtomicFile.CannotWrite(path, e);
        }
    }

    private static void TryDelete(string path)
    {
        try
        {
            if (Directory.Exists(path))
            {
                Directory.Delete(path, recursive: true);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It bears no checkpoint's name; the next run tries again.
        }
    }
}
