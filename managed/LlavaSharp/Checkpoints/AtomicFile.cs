namespace LlavaSharp.Checkpoints;

/// <summary>Writes files that are there wholly or not at all: a temporary name beside the target, flushed to the
/// disk, then renamed over it.</summary>
public static class AtomicFile
{
    /// <summary>Writes one file through <paramref name="write"/>. On any failure the target is as it was, and the
    /// temporary file is gone.</summary>
    /// <exception cref="UserErrorException">The folder is missing or not writable, or the disk is full.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        string temporary = $"{path}.{Environment.ProcessId}-{Guid.NewGuid():N}.tmp";
        try
        {
            using (var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16))
            {
                write(file);
                file.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CannotWrite(path, e);
        }
        finally
        {
            TryDelete(temporary);
        }
    }

    /// <summary>Writes text as UTF-8 without a byte-order mark.</summary>
    /// <exception cref="UserErrorException">The folder is missing or not writable, or the disk is full.</exception>
    public static void WriteText(string path, string text) =>
        Write(path, file => file.Write(System.Text.Encoding.UTF8.GetBytes(text)));

    /// <summary>Writes bytes.</summary>
    /// <exception cref="UserErrorException">The folder is missing or not writable, or the disk is full.</exception>
    public static void WriteBytes(string path, ReadOnlyMemory<byte> bytes) => Write(path, file => file.Write(bytes.Span));

    /// <summary>The message for a path that cannot be written, whatever the system's reason.</summary>
    internal static UserErrorException CannotWrite(string path, Exception e) => e is UserErrorException user
        ? user
        : new UserErrorException($"cannot write '{path}': {SafetensorsHeader.OneLine(e.Message)}", e);

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The failure that brought us here is the one to report.
        }
    }
}
