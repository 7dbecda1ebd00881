using LlavaSharp.Checkpoints;
using LlavaSharp.Training;

namespace LlavaSharp.Cli.Commands;

/// <summary>The folder that <c>convert</c> or <c>merge-lora</c> writes, and the promise that nothing which is read, and no other model, is
/// lost by it.</summary>
/// <param name="Flag">The flag that names it.</param>
/// <param name="Folder">The folder.</param>
/// <param name="Layout">What is written: <c>hf</c>, <c>llava</c> or <c>gguf</c>.</param>
/// <param name="Overwrite">Whether files may be replaced.</param>
internal sealed record ModelTarget(string Flag, string Folder, string Layout, bool Overwrite)
{
    private const string Allow = "--overwrite True";

    /// <summary>Refuses a target that holds files, unless told otherwise, cannot be written, or overlaps with what is read. GGUF files
    /// may be added to a folder; see <see cref="CheckFiles"/>.</summary>
    /// <param name="sources">Flags and what they name, a folder or a file; null is left out.</param>
    /// <exception cref="UserErrorException">The target cannot be used, or a source does not exist.</exception>
    public void Check(params ReadOnlySpan<(string Flag, string? Path)> sources)
    {
        foreach (var (flag, path) in sources)
        {
            if (path is not null)
            {
                CheckSource(flag, path);
            }
        }

        OutputFolder.Check(Folder, Overwrite || Layout == "gguf", Flag, Allow);
    }

    /// <summary>Refuses a target that overlaps with one thing that is read.</summary>
    /// <param name="flag">What names it, for messages.</param>
    /// <param name="path">A folder or a file.</param>
    /// <exception cref="UserErrorException">It does not exist, lies in the target, is the target, or holds the target's files.</exception>
    public void CheckSource(string flag, string path)
    {
        if (!Directory.Exists(path) && !File.Exists(path))
        {
            throw new UserErrorException($"{flag} {path} does not exist");
        }

        if (RealPath.IsSame(path, Folder))
        {
            throw new UserErrorException($"{flag} {path} is also where the result would go; name another folder for that");
        }

        // A link in the source may lead to a file in the target.
        var linked = !Directory.Exists(path) ? [] : Directory.GetFiles(path).Where(file => new FileInfo(file).LinkTarget is not null);
        if (linked.Prepend(path).Any(p => RealPath.IsInside(p, Folder)))
        {
            throw new UserErrorException($"{flag} {path} lies inside {Flag} {Folder}, where the result would go; name another folder for that");
        }

        if (Directory.Exists(Folder) && Directory.EnumerateFileSystemEntries(Folder).Any() && RealPath.IsInside(Folder, path))
        {
            throw new UserErrorException($"{Flag} {Folder} holds files of {flag} {path}; name another folder for the result");
        }
    }

    /// <summary>Refuses files that are there already, unless told to replace them.</summary>
    /// <param name="files">Where the result goes.</param>
    /// <exception cref="UserErrorException">One exists.</exception>
    public void CheckFiles(params ReadOnlySpan<string> files)
    {
        foreach (var file in files)
        {
            if (!Overwrite && File.Exists(file))
            {
                throw new UserErrorException($"{Flag} {Folder} holds {Path.GetFileName(file)} already; choose another folder or pass {Allow}");
            }
        }
    }
}
