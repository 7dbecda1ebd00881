namespace LlavaSharp.Data;

/// <summary>
/// Finds the image a sample names. A data file is written by others: it may name files below the image folder and no
/// others, also not by way of a symbolic link.
/// </summary>
public static class ImagePaths
{
    /// <summary>Bound on links that lead to links.</summary>
    private const int MaxLinks = 40;

    /// <summary>Joins folder and name, and checks that the file exists and lies below the folder.</summary>
    /// <param name="imageFolder">The image folder; it may itself be reached through links.</param>
    /// <param name="relative">The sample's <c>image</c>.</param>
    /// <param name="sampleIndex">The sample's index in its file, for messages.</param>
    /// <returns>The file's real path.</returns>
    /// <exception cref="UserErrorException">The name is no relative path, leaves the folder, or no such file exists.</exception>
    public static string Resolve(string imageFolder, string relative, int sampleIndex)
    {
        try
        {
            return Resolve(imageFolder, relative);
        }
        catch (UserErrorException e)
        {
            throw new UserErrorException($"sample {sampleIndex}: {e.Message}", e);
        }
    }

    /// <summary>As <see cref="Resolve(string, string, int)"/>, for messages without a sample.</summary>
    /// <param name="imageFolder">The image folder; it may itself be reached through links.</param>
    /// <param name="relative">The image's path below it.</param>
    /// <returns>The file's real path.</returns>
    /// <exception cref="UserErrorException">The name is no relative path, leaves the folder, or no such file exists.</exception>
    public static string Resolve(string imageFolder, string relative)
    {
        if (relative.Length == 0 || relative.Contains('\0', StringComparison.Ordinal))
        {
            throw new UserErrorException("image path is empty or has a zero character");
        }

        if (Path.IsPathRooted(relative) || relative.StartsWith('\\') || relative is [_, ':', '\\' or '/', ..])
        {
            throw new UserErrorException($"image \"{relative}\" is an absolute path; paths are taken below {imageFolder}");
        }

        var folder = Path.GetFullPath(imageFolder);
        var path = Path.GetFullPath(relative, folder);
        if (!IsBelow(path, folder))
        {
            throw new UserErrorException($"image \"{relative}\" leaves the image folder {imageFolder}");
        }

        try
        {
            if (!File.Exists(path))
            {
                throw new UserErrorException($"image {path} does not exist");
            }

            var real = RealPath(path);
            return IsBelow(real, RealPath(folder))
                ? real
                : throw new UserErrorException($"image \"{relative}\" leaves the image folder {imageFolder} by a link to {real}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"image {path} cannot be reached: {e.Message}", e);
        }
    }

    private static bool IsBelow(string path, string folder) =>
        path.StartsWith(Path.TrimEndingDirectorySeparator(folder) + Path.DirectorySeparatorChar, StringComparison.Ordinal)
        || (Path.TrimEndingDirectorySeparator(folder).Length == 0 && path.Length > 1)
        || (folder == Path.GetPathRoot(folder) && path.Length > folder.Length && path.StartsWith(folder, StringComparison.Ordinal));

    /// <summary>The path with every link on the way resolved.</summary>
    private static string RealPath(string path)
    {
        for (var links = 0; links <= MaxLinks; links++)
        {
            if (FirstLink(path) is not { } link)
            {
                return path;
            }

            var target = File.ResolveLinkTarget(link, returnFinalTarget: false)!.FullName;
            path = Path.GetFullPath(Path.Join(target, path[link.Length..]));
        }

        throw new IOException("too many symbolic links");
    }

    /// <summary>The shortest leading part of a full path that is a link.</summary>
    private static string? FirstLink(string path)
    {
        for (var end = Path.GetPathRoot(path)!.Length; end <= path.Length; end++)
        {
            if ((end == path.Length || path[end] == Path.DirectorySeparatorChar)
                && new FileInfo(path[..end]).LinkTarget is not null)
            {
                return path[..end];
            }
        }

        return null;
    }
}
