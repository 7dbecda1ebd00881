namespace LlavaSharp.Checkpoints;

/// <summary>Writes a model folder that is there wholly or not at all, as far as a file system allows: everything is
/// written into a temporary folder beside the target first.</summary>
internal static class AtomicFolder
{
    /// <summary>Fills a temporary folder through <paramref name="fill"/>, then renames it to <paramref name="folder"/>.
    /// Where that folder is there already (a run's logs are in it), files are moved into it one by one and config.json,
    /// without which nothing loads, is taken away first and put back last.</summary>
    /// <exception cref="UserErrorException">The folder cannot be written.</exception>
    internal static void Write(string folder, Action<string> fill)
    {
        string target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        string temporary = $"{target}.{Environment.ProcessId}-{Guid.NewGuid():N}.tmp";
        try
        {
            Directory.CreateDirectory(temporary);
            fill(temporary);
            if (Directory.Exists(target))
            {
                MoveInto(temporary, target);
            }
            else
            {
                Directory.Move(temporary, target);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw AtomicFile.CannotWrite(folder, e);
        }
        finally
        {
            Delete(temporary);
        }
    }

    private static void MoveInto(string temporary, string target)
    {
        string config = Path.Combine(target, "config.json");
        File.Delete(config);

        // Weights of an earlier run, sharded otherwise, would be loaded with the new config.
        foreach (string pattern in (string[])["model*.safetensors", "model.safetensors.index.json"])
        {
            Array.ForEach(Directory.GetFiles(target, pattern), File.Delete);
        }

        foreach (string inner in Directory.GetDirectories(temporary))
        {
            string place = Path.Combine(target, Path.GetFileName(inner));
            if (Directory.Exists(place))
            {
                Directory.Delete(place, recursive: true);
            }

            Directory.Move(inner, place);
        }

        foreach (string file in Directory.GetFiles(temporary).OrderBy(f => Path.GetFileName(f) == "config.json"))
        {
            File.Move(file, Path.Combine(target, Path.GetFileName(file)), overwrite: true);
        }
    }

    private static void Delete(string temporary)
    {
        try
        {
            if (Directory.Exists(temporary))
            {
                Directory.Delete(temporary, recursive: true);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The failure that brought us here is the one to report.
        }
    }
}
