using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tokenization;

/// <summary>Reads a small file whole, with a cap, so that a wrong path cannot fill the memory.</summary>
internal static class TokenizerFile
{
    /// <summary>Reads at most <paramref name="maxBytes"/> bytes.</summary>
    /// <exception cref="UserErrorException">The file is larger, cannot be read, or of another kind (<see cref="FileKinds"/>).</exception>
    public static byte[] Read(string path, long maxBytes)
    {
        try
        {
            var length = FileLinks.LengthOf(path);
            var bytes = length <= maxBytes
                ? File.ReadAllBytes(path)
                : throw new UserErrorException($"{path}: {length} bytes, more than the {maxBytes} such a file may have");
            return FileKinds.Recognise(bytes.AsSpan(0, Math.Min(bytes.Length, FileKinds.HeadBytes))) is { } kind
                ? throw new UserErrorException($"'{path}' {kind}") : bytes;
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
}
