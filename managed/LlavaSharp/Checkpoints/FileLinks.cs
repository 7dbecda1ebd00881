namespace LlavaSharp.Checkpoints;

/// <summary>Follows symbolic links, of which huggingface_hub's cache is made, and says why a path leads to no file.</summary>
internal static class FileLinks
{
    /// <summary>Bytes of the file that a path leads to; <see cref="FileInfo.Length"/> of a link is that of the link's own text.</summary>
    /// <exception cref="IOException">There is no such file.</exception>
    internal static long LengthOf(string path) => Follow(path).Length;

    /// <summary>The file that a path leads to; the path itself where it is no link.</summary>
    internal static FileInfo Follow(string path) => new(RealPath.Of(path));

    /// <summary>Says that a file is not there; where a link leads nowhere or a part of the path is a file, which.</summary>
    internal static string Missing(string path) => Dangling(path)
        ?? (WhyNoFolder(Path.GetDirectoryName(path)) is { } why ? $"'{path}' does not exist: {why}" : $"'{path}' does not exist");

    /// <summary>Why a path is no folder: it, or a part of it, is a link that leads nowhere, or a file; null when neither is.</summary>
    internal static string? WhyNoFolder(string? path)
    {
        for (string? at = path; !string.IsNullOrEmpty(at); at = Path.GetDirectoryName(at))
        {
            if (Dangling(at) is { } link)
            {
                return link;
            }

            if (File.Exists(at))
            {
                return $"'{at}' {Kind(at) ?? "is a file; name the folder that it lies in"}";
            }
        }

        return null;
    }

    private static string? Dangling(string path) => new FileInfo(path).LinkTarget is { } target && !LeadsSomewhere(path)
        ? $"'{path}' is a link to '{target}', which does not exist; download the file again, or repair the link" : null;

    // The end of links that go round in a circle is a link.
    private static bool LeadsSomewhere(string link) => Follow(link) is { LinkTarget: null } end && Path.Exists(end.FullName);

    private static string? Kind(string file)
    {
        try
        {
            return FileKinds.RecogniseFile(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
