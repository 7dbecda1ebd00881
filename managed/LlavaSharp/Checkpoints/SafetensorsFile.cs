using System.IO.MemoryMappedFiles;

namespace LlavaSharp.Checkpoints;

/// <summary>A safetensors file, memory-mapped: opening reads only the header, and bytes come from the page cache
/// when they are asked for. Safe on hostile files; a file that another process cuts short while it is open is not
/// survivable, as for any mapping.</summary>
/// <remarks>Reading is safe from several threads. Spans are valid until <see cref="Dispose"/>.</remarks>
public sealed unsafe class SafetensorsFile : ITensorFile
{
    private readonly SafetensorsHeader _header;
    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _data;
    private bool _disposed;

    private SafetensorsFile(
        string path, SafetensorsHeader header, MemoryMappedFile map, MemoryMappedViewAccessor view, long dataBegin)
    {
        (Path, _header, _map, _view) = (path, header, map, view);
        byte* start = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        _data = start + view.PointerOffset + dataBegin;
    }

    /// <summary>The file's path, as it was given.</summary>
    public string Path { get; }

    /// <summary>Names of the tensors, in the order of their bytes.</summary>
    public IReadOnlyList<string> Names => field ??= [.. _header.Ordered.Select(e => e.Name)];

    /// <summary>The tensors, in the order of their bytes.</summary>
    public IReadOnlyList<TensorEntry> Entries => _header.Ordered;

    /// <summary>The header's free-form metadata, such as <c>format</c> = <c>pt</c>.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>The tensor of that name.</summary>
    /// <exception cref="UserErrorException">There is none.</exception>
    public TensorEntry this[string name] => Require(name);

    /// <summary>Opens a file and checks its whole header.</summary>
    /// <exception cref="UserErrorException">The file is missing, unreadable, truncated or not well-formed.</exception>
    public static SafetensorsFile Open(string path)
    {
        MemoryMappedFile? map = null;
        MemoryMappedViewAccessor? view = null;
        try
        {
            long fileBytes;
            SafetensorsHeader header;
            long dataBegin;
            using (var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read))
            {
                fileBytes = file.Length;
                Span<byte> prefix = stackalloc byte[8];
                int read = file.ReadAtLeast(prefix, 8, throwOnEndOfStream: false);
                long headerBytes = SafetensorsHeader.CheckLength(path, prefix, Math.Min(fileBytes, read < 8 ? read : fileBytes));
                byte[] json = new byte[headerBytes];
                file.ReadExactly(json);
                dataBegin = 8 + headerBytes;
                header = SafetensorsHeader.Parse(path, json, fileBytes - dataBegin);
            }

            map = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
            view = map.CreateViewAccessor(0, fileBytes, MemoryMappedFileAccess.Read);
            var opened = new SafetensorsFile(path, header, map, view, dataBegin);
            (map, view) = (null, null);
            return opened;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new UserErrorException($"'{path}' does not exist", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"cannot read '{path}': {SafetensorsHeader.OneLine(e.Message)}", e);
        }
        finally
        {
            view?.Dispose();
            map?.Dispose();
        }
    }

    /// <summary>Whether the file has that tensor.</summary>
    public bool Contains(string name) => _header.Entries.ContainsKey(name);

    /// <summary>Finds a tensor.</summary>
    public bool TryGet(string name, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out TensorEntry? entry) =>
        _header.Entries.TryGetValue(name, out entry);

    /// <summary>A tensor's bytes, row-major and little-endian, valid until <see cref="Dispose"/>.</summary>
    /// <exception cref="UserErrorException">There is no such tensor, or it takes 2 GiB or more.</exception>
    public ReadOnlySpan<byte> Bytes(string name)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        TensorEntry entry = this[name];
        return entry.ByteCount <= int.MaxValue
            ? new ReadOnlySpan<byte>(_data + entry.Begin, (int)entry.ByteCount)
            : throw new UserErrorException($"'{Path}': tensor {SafetensorsHeader.Quote(name)} takes "
                + $"{entry.ByteCount} bytes; at most {int.MaxValue} are read at once");
    }

    bool ITensorFile.TryGet(string name, out TensorType type, out long[] shape, out ReadOnlySpan<byte> bytes)
    {
        bool found = TryGet(name, out TensorEntry? entry);
        type = entry?.Type ?? default;
        shape = entry?.Shape ?? [];
        bytes = found ? Bytes(name) : default;
        return found;
    }

    /// <summary>A copy of a float tensor (F32, F16, BF16 or F64) as float32.</summary>
    /// <exception cref="UserErrorException">There is no such tensor, or it is not of a float type.</exception>
    public float[] Floats(string name)
    {
        TensorEntry entry = this[name];
        if (!entry.Type.IsFloat())
        {
            throw new UserErrorException($"'{Path}': tensor {SafetensorsHeader.Quote(name)} has dtype "
                + $"{entry.Type.SafetensorsName()}; a float type is needed");
        }

        float[] values = new float[entry.ByteCount / entry.Type.ByteSize()];
        TensorConvert.ToFloats(entry.Type, Bytes(name), values);
        return values;
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

    private TensorEntry Require(string name) => TryGet(name, out TensorEntry? entry)
        ? entry
        : throw new UserErrorException($"'{Path}' has no tensor {SafetensorsHeader.Quote(name)}");
}
