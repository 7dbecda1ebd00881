using System.IO.MemoryMappedFiles;
using LlavaSharp.Interop;

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
            // Of the file that is opened, not of a link to it: huggingface_hub's cache is made of links.
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            long length = file.Length;
            if (length == 0)
            {
                throw new UserErrorException($"'{path}' is empty; copy or download it again");
            }

            map = MemoryMappedFile.CreateFromFile(file, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            view = map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
            var opened = new MappedFile(path, map, view, length);
            (map, view) = (null, null);
            if (FileKinds.Recognise(opened.Span(0, (int)Math.Min(length, FileKinds.HeadBytes))) is { } kind)
            {
                opened.Dispose();
                throw new UserErrorException($"'{path}' {kind}");
            }

            return opened;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException && !Directory.Exists(path))
        {
            throw new UserErrorException(FileLinks.Missing(path), e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
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

    /// <summary>As <see cref="Span"/>, of any length.</summary>
    internal LongBytes Long(long begin, long count)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return begin >= 0 && count >= 0 && begin <= Length - count
            ? LongBytes.At(_start + begin, count)
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
