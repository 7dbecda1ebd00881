namespace LlavaSharp.Checkpoints;

/// <summary>
/// Writes a model folder that is there wholly or not at all. A new folder is filled under a temporary name beside its place and renamed.
/// A folder that exists is never renamed (it may be a mount point, in a folder that may not be written): the temporary folder lies inside
/// it, and <see cref="FolderSwap"/> moves the files once all of them are complete.
/// </summary>
internal static class AtomicFolder
{
    /// <summary>Fills a temporary folder through <paramref name="fill"/>, then puts it in place. Files of an existing folder that do not
    /// belong to a model stay.</summary>
    /// <exception cref="UserErrorException">The folder cannot be written; it is as it was.</exception>
    internal static void Write(string folder, Action<string> fill)
    {
        try
        {
            string target = RealPath.Of(folder);
            Temporaries.RemoveLeftovers(target);
            bool exists = Directory.Exists(target);
            string temporary = Temporaries.Begin(exists ? Path.Combine(target, "model") : target);
            try
            {
                Directory.CreateDirectory(temporary);
                fill(temporary);
                Temporaries.Commit(() =>
                {
                    if (exists)
                    {
                        FolderSwap.Run(temporary, target);
                    }
                    else
                    {
                        Directory.Move(temporary, target);
                    }
                });
                AtomicFile.SyncFolder(exists ? target : Path.GetDirectoryName(target)!);
            }
            finally
            {
                Temporaries.End(temporary);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw AtomicFile.CannotWrite(folder, e);
        }
    }
}
