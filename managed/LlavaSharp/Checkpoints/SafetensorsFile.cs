using System.Diagnostics.CodeAnalysis;
using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>A safetensors file, memory-mapped: opening reads only the header, and bytes come from the page cache
/// when they are asked for. Safe on hostile files; a file that another process cuts short while it is open is not
/// survivable, as for any mapping.</summary>
/// <remarks>Reading is safe from several threads. Spans are valid until <see cref="Dispose"/>.</remarks>
public sealed class SafetensorsFile : ITensorFile
{
    private readonly MappedFile _file;
    private readonly SafetensorsHeader _header;
    private readonly long _dataBegin;

    private SafetensorsFile(MappedFile file)
    {
        _file = file;
        ReadOnlySpan<byte> prefix = file.Span(0, (int)Math.Min(8, file.Length));
        int headerBytes = (int)SafetensorsHeader.CheckLength(file.Path, prefix, file.Length);
        _dataBegin = 8 + headerBytes;
        _header = SafetensorsHeader.Parse(file.Path, file.Span(8, headerBytes), file.Length - _dataBegin);
        Names = [.. _header.Ordered.Select(e => e.Name)];
    }

    /// <summary>The file's path, as it was given.</summary>
    public string Path => _file.Path;

    /// <summary>Names of the tensors, in the order of their bytes.</summary>
    public IReadOnlyList<string> Names { get; }

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
        MappedFile file = MappedFile.Open(path);
        try
        {
            return new SafetensorsFile(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Whether the file has that tensor.</summary>
    public bool Contains(string name) => _header.Entries.ContainsKey(name);

    /// <inheritdoc/>
    TensorType ITensorFile.TypeOf(string name) => _header.Entries[name].Type;

    /// <summary>Finds a tensor.</summary>
    public bool TryGet(string name, [NotNullWhen(true)] out TensorEntry? entry) =>
        _header.Entries.TryGetValue(name, out entry);

    /// <summary>A tensor's bytes, row-major and little-endian, valid until <see cref="Dispose"/>.</summary>
    /// <exception cref="UserErrorException">There is no such tensor.</exception>
    public LongBytes Bytes(string name)
    {
        TensorEntry entry = this[name];
        return _file.Long(_dataBegin + entry.Begin, entry.ByteCount);
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
        TensorConvert.ToFloats(entry.Type, Bytes(name), 0, values);
        return values;
    }

    bool ITensorFile.TryGet(string name, out TensorType type, out long[] shape, out LongBytes bytes)
    {
        bool found = TryGet(name, out TensorEntry? entry);
        entry = found ? Require(name) : null;
        type = entry?.Type ?? default;
        shape = entry?.Shape ?? [];
        bytes = found ? Bytes(name) : default;
        return found;
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private TensorEntry Require(string name) => TryGet(name, out TensorEntry? entry)
        ? entry.Type != TensorType.Other
            ? entry
            : throw new UserErrorException($"'{Path}': tensor {SafetensorsHeader.Quote(name)} has dtype "
                + $"{SafetensorsHeader.Quote(entry.TypeName)}, which is not read; save the weights in F32, F16 or BF16")
        : throw new UserErrorException($"'{Path}' has no tensor {SafetensorsHeader.Quote(name)}");
}
