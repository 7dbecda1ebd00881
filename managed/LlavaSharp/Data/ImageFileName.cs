using LlavaSharp.Imaging;

namespace LlavaSharp.Data;

/// <summary>Compares what a picture's name says with what its first bytes are.</summary>
internal static class ImageFileName
{
    private static readonly Dictionary<string, string[]> Extensions = new(StringComparer.Ordinal)
    {
        ["JPEG"] = [".jpg", ".jpeg", ".jpe", ".jfif"],
        ["PNG"] = [".png", ".apng"],
        ["GIF"] = [".gif"],
        ["WebP"] = [".webp"],
        ["BMP"] = [".bmp", ".dib"],
    };

    private static readonly string[] Unread = [".bmp", ".tif", ".tiff", ".heic", ".avif", ".svg"];

    /// <summary>What differs, in words; null when nothing does, or when the name's extension is no picture's.</summary>
    /// <exception cref="UserErrorException">The file cannot be read, or is no picture.</exception>
    public static string? Mismatch(string path)
    {
        var extension = Path.GetExtension(path);
        Span<byte> start = stackalloc byte[ForeignFile.Looked];
        int read;
        try
        {
            using var file = File.OpenHandle(path);
            read = RandomAccess.Read(file, start, 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Fault.With(new UserErrorException($"image {path} cannot be read: {e.Message}", e), ImageFault.Missing);
        }

        var format = ImageDecoder.Recognise(start[..read], path);
        return Extensions[format].Contains(extension, StringComparer.OrdinalIgnoreCase)
            || !Extensions.Values.SelectMany(e => e).Concat(Unread).Contains(extension, StringComparer.OrdinalIgnoreCase)
            ? null
            : $"is named {extension}, but is a {format} file; it is read as what it is";
    }
}
