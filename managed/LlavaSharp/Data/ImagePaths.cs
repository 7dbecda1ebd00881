namespace LlavaSharp.Data;

/// <summary>
/// Finds the image a sample names. A data file is written by others, so its text may name files below the image folder and no
/// others. Links inside the folder are the user's own, and are followed wherever they lead.
/// </summary>
public static class ImagePaths
{
    /// <summary>Bound on links that lead to links.</summary>
    private const int MaxLinks = 40;

    /// <summary>Joins folder and name, and checks that the file exists and that its name lies below the folder.</summary>
    /// <param name="imageFolder">The image folder; it may itself be reached through links.</param>
    /// <param name="name">The sample's <c>image</c>: a path below the folder, or an absolute one that lies below it.</param>
    /// <param name="sampleIndex">The sample's index in its file, for messages.</param>
    /// <returns>The file's path.</returns>
    /// <exception cref="UserErrorException">The name leaves the folder, or no such file exists; the message has the way out.</exception>
    public static string Resolve(string imageFolder, string name, int sampleIndex)
    {
        try
        {
            return Resolve(imageFolder, name);
        }
        catch (UserErrorException e)
        {
            throw new UserErrorException($"sample {sampleIndex}: {e.Message}", e);
        }
    }

    /// <summary>As <see cref="Resolve(string, string, int)"/>, for messages without a sample.</summary>
    /// <param name="imageFolder">The image folder; it may itself be reached through links.</param>
    /// <param name="name">The image's path, absolute or from the folder.</param>
    /// <returns>The file's path.</returns>
    /// <exception cref="UserErrorException">The name leaves the folder, or no such file exists; the message has the way out.</exception>
    public static string Resolve(string imageFolder, string name)
    {
        if (name.Length == 0 || name.Contains('\0', StringComparison.Ordinal))
        {
            throw new UserErrorException("image path is empty or has a zero character");
        }

        if (name.StartsWith('\\') || name is [_, ':', '\\' or '/', ..])
        {
            throw new UserErrorException(
                $"image \"{name}\" is an absolute path of Windows; write it from {imageFolder} on, with / between folders");
        }

        try
        {
            var folder = Path.GetFullPath(imageFolder);
            var path = Path.GetFullPath(name, folder);
            if (!IsBelow(path, folder) && !(Path.IsPathRooted(name) && IsBelow(path, RealPath(folder))))
            {
                throw Outside(imageFolder, name, folder);
            }

            return Exists(path) ? path : throw Missing(path, name);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"image \"{name}\" cannot be reached: {e.Message}", e);
        }
    }

    // A link counts as a file by itself, also where it leads nowhere.
    private static bool Exists(string path) => File.Exists(path)
        && (new FileInfo(path).LinkTarget is null || File.ResolveLinkTarget(path, returnFinalTarget: true) is { Exists: true });

    private static UserErrorException Outside(string imageFolder, string name, string folder) => new(
        !Path.IsPathRooted(name)
            ? $"image \"{name}\" leaves the image folder {imageFolder}; give a folder that holds it with --image_folder, "
                + "or put a link to it into this one and write the path through the link"
        : File.Exists(Path.Join(folder, name))
            ? $"image \"{name}\" is an absolute path outside the image folder {imageFolder}, which holds a file of that name: "
                + "leave out the leading slash"
        : $"image \"{name}\" is an absolute path outside the image folder {imageFolder}; give a folder that holds it with "
            + "--image_folder (/ holds all), or write the path from the image folder on");

    private static UserErrorException Missing(string path, string name) => new(
        name.Contains("://", StringComparison.Ordinal) ? $"image \"{name}\" is an address; download it, and write the file's path"
        : Directory.Exists(path) ? $"image {path} is a folder; write the path of a file"
        : new FileInfo(path).LinkTarget is { } target ? $"image {path} does not exist: it is a link to {target}, where no file is"
        : name.Contains('\\', StringComparison.Ordinal) ? $"image {path} does not exist; write / between folders"
        : $"image {path} does not exist");

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
