using System.IO.MemoryMappedFiles;

namespace LlavaSharp.Checkpoints;

/// <summary>A file mapped for reading. Spans are valid until it is disposed; a file that another process cuts short
/// meanwhile is not survivable, as for any mapping.</summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;
    private bool _disposed;

    private MappedFile(string path, MemoryMappedFile map, MemoryMappedViewAccessor view, long length)
    {
        (Path, _map, _view, Length) = (path, map, view, length);
        byte* start = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        _start = start + view.PointerOffset;
    }

    internal string Path { get; }

    internal long Length { get; }

    /// <summary>Maps a whole file.</summary>
    /// <exception cref="UserErrorException">It is missing, unreadable or empty.</exception>
    internal static MappedFile Open(string path)
    {
        MemoryMappedFile? map = null;
        MemoryMappedViewAccessor? view = null;
        try
        {
            long length = new FileInfo(path).Length;
            if (length == 0)
            {
                throw new UserErrorException($"'{path}' is empty; copy or download it again");
            }

            map = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
            view = map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
            var opened = new MappedFile(path, map, view, length);
            (map, view) = (null, null);
            return opened;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException && !Directory.Exists(path))
        {
            throw new UserErrorException($"'{path}' does not exist", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException(Directory.Exists(path)
                ? $"cannot read '{path}': it is a folder" : $"cannot read '{path}': {SafetensorsHeader.OneLine(e.Message)}", e);
        }
        finally
        {
            view?.Dispose();
            map?.Dispose();
        }
    }

    /// <summary>Bytes of the file; the caller has compared the range with <see cref="Length"/>.</summary>
    internal ReadOnlySpan<byte> Span(long begin, int count)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return begin >= 0 && count >= 0 && begin <= Length - count
            ? new ReadOnlySpan<byte>(_start + begin, count)
            : throw new ArgumentOutOfRangeException(nameof(begin), begin, $"outside a file of {Length} bytes");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
            _map.Dispose();
        }
    }
}
