using System.Globalization;
using LlavaSharp.Checkpoints;
using LlavaSharp.Zero;

namespace LlavaSharp.Training.Resume;

/// <summary>
/// The checkpoint-N folders of an output folder that carry our manifest or state; folders of other programs are never listed, counted,
/// moved or deleted. A checkpoint is filled under another name, flushed, and renamed: under its own name it is always whole. An older
/// one goes only after the newer one is in its place.
/// </summary>
/// <param name="output">The output folder.</param>
/// <param name="limit">How many are kept; null keeps all.</param>
public sealed class CheckpointStore(string output, int? limit = null)
{
    private const string Prefix = "checkpoint-", Unfinished = "tmp-checkpoint-", Damaged = "damaged-checkpoint-";

    /// <summary>The checkpoints, newest first, whole or not.</summary>
    /// <returns>Number of updates, and folder.</returns>
    public IReadOnlyList<(int Step, string Path)> List() => [.. Named().Where(c => CheckpointManifest.IsOurs(c.Path))];

    /// <summary>Folders with a checkpoint's name that another program has made, newest first.</summary>
    /// <returns>The number in the name, and the folder.</returns>
    public IReadOnlyList<(int Step, string Path)> Foreign() => [.. Named().Where(c => !CheckpointManifest.IsOurs(c.Path))];

    /// <summary>The newest checkpoint that is as it was written.</summary>
    /// <param name="damaged">Receives each newer one that is not, with what is wrong with it.</param>
    /// <param name="ranks">The processes that ask, all of them, and share the checking; null for one.</param>
    /// <returns>The folder, or null; the same on all.</returns>
    public string? FindNewest(Action<string, string> damaged, Ranks? ranks = null)
    {
        ranks ??= Ranks.Single;

        // What rank 0 sees: a shared folder's contents reach other hosts later.
        var names = ranks.Gather("listing checkpoints", string.Join('/', List().Select(c => Path.GetFileName(c.Path))))[0];
        foreach (var name in names.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            var path = Path.Combine(output, name);
            if (CheckpointManifest.FindDamage(path, ranks) is not { } damage)
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
        Temporaries.Watch(temporary);
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
                Temporaries.End(temporary);
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
        Temporaries.Commit(() =>
        {
            if (Directory.Exists(target))
            {
                // Of an earlier try, past the checkpoint that this run went on from.
                RefuseForeign(target);
                Directory.Move(target, Aside(step));
            }

            Directory.Move(temporary, target);
        });
        AtomicFile.SyncFolder(output);
        Rotate(step);
        RemoveLeftovers();
    }

    /// <summary>Deletes what processes that no longer run were writing, and nothing else.</summary>
    public void RemoveLeftovers() => Temporaries.RemoveLeftovers(output);

    /// <summary>Refuses an output folder in which this run could meet the name of another program's checkpoint.</summary>
    /// <param name="after">Updates done.</param>
    /// <param name="last">Updates planned.</param>
    /// <exception cref="UserErrorException">A folder in between has such a name.</exception>
    public void CheckNames(int after, int last)
    {
        foreach (var (step, path) in Foreign())
        {
            if (step > after && step <= last)
            {
                RefuseForeign(path);
            }
        }
    }

    /// <summary>Deletes every checkpoint of ours: a run that begins anew must not leave others' states to go on from.</summary>
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

    private IEnumerable<(int Step, string Path)> Named() => !Directory.Exists(output) ? [] : Directory.GetDirectories(output, Prefix + "*")
        .Select(path => (Step: StepOf(path), Path: path))
        .Where(c => c.Step >= 0)
        .OrderByDescending(c => c.Step);

    private static void RefuseForeign(string folder)
    {
        if (!CheckpointManifest.IsOurs(folder))
        {
            throw new UserErrorException(
                $"{folder} was made by another program, and this run would write a checkpoint of that name; name another --output_dir");
        }
    }

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
        Temporaries.End(aside);
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
}
