namespace LlavaSharp.Tokenization;

/// <summary>Reads a small file whole, with a cap, so that a wrong path cannot fill the memory.</summary>
internal static class TokenizerFile
{
    /// <summary>Reads at most <paramref name="maxBytes"/> bytes.</summary>
    /// <exception cref="UserErrorException">The file is larger, or cannot be read.</exception>
    public static byte[] Read(string path, long maxBytes)
    {
        try
        {
            var length = new FileInfo(path).Length;
            return length <= maxBytes
                ? File.ReadAllBytes(path)
                : throw new UserErrorException($"{path}: {length} bytes, more than the {maxBytes} such a file may have");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"{path}: cannot be read: {e.Message}", e);
        }
    }
}
