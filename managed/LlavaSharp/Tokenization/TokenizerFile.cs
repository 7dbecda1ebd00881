using System.Globalization;
using System.Text;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tokenization;

/// <summary>Reads a small file whole, with a cap, so that a wrong path cannot fill the memory.</summary>
internal static class TokenizerFile
{
    /// <summary>Reads at most <paramref name="maxBytes"/> bytes.</summary>
    /// <exception cref="UserErrorException">The file is larger, cannot be read, or is a pointer of Git LFS.</exception>
    public static byte[] Read(string path, long maxBytes)
    {
        try
        {
            var length = FileLinks.LengthOf(path);
            var bytes = length <= maxBytes
                ? File.ReadAllBytes(path)
                : throw new UserErrorException($"{path}: {length} bytes, more than the {maxBytes} such a file may have");
            return IsPointer(bytes) ? throw Pointer(path, bytes) : bytes;
        }
        catch (FileNotFoundException e)
        {
            throw new UserErrorException(FileLinks.Missing(path), e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"{path}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>A pointer's first line is "version" and an address of git-lfs.</summary>
    private static bool IsPointer(ReadOnlySpan<byte> bytes) =>
        bytes.StartsWith("version "u8) && bytes[..Math.Min(bytes.Length, 40)].IndexOf("git-lfs"u8) >= 0;

    private static UserErrorException Pointer(string path, byte[] bytes)
    {
        var size = Encoding.UTF8.GetString(bytes).Split('\n')
            .Select(line => line.StartsWith("size ", StringComparison.Ordinal)
                && long.TryParse(line[5..], NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : -1).Max();
        return new UserErrorException($"{path}: a Git LFS pointer of {bytes.Length} bytes in place of the file"
            + (size >= 0 ? $" of {size} bytes" : "") + "; run \"git lfs pull\" in its repository");
    }
}
