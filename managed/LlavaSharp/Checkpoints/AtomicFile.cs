namespace LlavaSharp.Checkpoints;

/// <summary>Writes files that are there wholly or not at all: a temporary name beside the target, flushed to the
/// disk, renamed over it, and the rename flushed.</summary>
public static class AtomicFile
{
    /// <summary>Writes one file through <paramref name="write"/>. On any failure the target is as it was, and the
    /// temporary file is gone.</summary>
    /// <exception cref="UserErrorException">The folder is missing or not writable, or the disk is full.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        string temporary = Temporaries.Begin(path);
        try
        {
            using (var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16))
            {
                write(file);
                file.Flush(flushToDisk: true);
            }

            Temporaries.Commit(() => File.Move(temporary, path, overwrite: true));
            if (!Temporaries.Contains(path))
            {
                SyncFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CannotWrite(path, e);
        }
        finally
        {
            Temporaries.End(temporary);
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

    /// <summary>Asks the disk to keep the renames in a folder. A folder itself cannot be flushed from here, so a file in it is made and
    /// flushed: a journal that holds the later change holds the earlier renames as well.</summary>
    internal static void SyncFolder(string folder)
    {
        string probe = Temporaries.Begin(Path.Combine(folder, ".sync"));
        try
        {
            using var file = new FileStream(probe, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1);
            file.WriteByte(0);
            file.Flush(flushToDisk: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What was renamed is in its place; only a loss of power in the next moments could undo it.
        }
        finally
        {
            Temporaries.End(probe);
        }
    }
}
