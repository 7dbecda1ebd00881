using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>A file that <c>torch.save</c> made from a dictionary of tensors (such as <c>mm_projector.bin</c> or
/// <c>pytorch_model.bin</c>), memory-mapped. Nothing in it is executed; see <see cref="PickleReader"/>.</summary>
public sealed class TorchArchive : ITensorFile
{
    private const long PickleBytesMax = 16 << 20;
    private readonly MappedFile _file;
    private readonly Dictionary<string, (long Begin, long Count)> _entries;
    private readonly Dictionary<string, PickleReader.Tensor> _tensors = [];

    // What the dictionary holds beside tensors that can be read: why each cannot.
    private readonly Dictionary<string, string> _unread = [];
    private readonly string _prefix;

    private TorchArchive(MappedFile file)
    {
        _file = file;
        _entries = ZipDirectory.Read(file);
        string pickle = _entries.Keys.FirstOrDefault(
            name => name.EndsWith("/data.pkl", StringComparison.Ordinal) && name.IndexOf('/', StringComparison.Ordinal) == name.Length - 9)
            ?? throw new UserErrorException($"'{file.Path}' holds no data.pkl: it is a zip, but not one that torch.save wrote");
        _prefix = pickle[..^"data.pkl".Length];
        CheckByteOrder();
        (long begin, long count) = _entries[pickle];
        if (count > PickleBytesMax)
        {
            throw new UserErrorException($"'{file.Path}': its pickle has {count} bytes; at most {PickleBytesMax} are read");
        }

        Collect(PickleReader.Read(file.Path, file.Span(begin, (int)count).ToArray()));
        Names = [.. _tensors.Keys, .. _unread.Keys];
    }

    /// <summary>The file's path, as it was given.</summary>
    public string Path => _file.Path;

    /// <summary>Names of the tensors, in the dictionary's order.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>Opens a file and checks every tensor against the bytes that are there.</summary>
    /// <exception cref="UserErrorException">The file is missing, damaged, compressed, older than PyTorch 1.6's format, or
    /// holds anything but a dictionary of tensors.</exception>
    public static TorchArchive Open(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            return new TorchArchive(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Reads all tensors of a file into memory.</summary>
    /// <exception cref="UserErrorException">As <see cref="Open"/>.</exception>
    public static IReadOnlyDictionary<string, StoredTensor> Read(string path)
    {
        using TorchArchive archive = Open(path);
        var tensors = new Dictionary<string, StoredTensor>();
        foreach (string name in archive.Names)
        {
            archive.TryGet(name, out TensorType type, out long[] shape, out LongBytes bytes);
            tensors.Add(name, new(type, shape, bytes.ToArray()));
        }

        return tensors;
    }

    /// <summary>Writes a dictionary of tensors, whole or not at all, as torch.save does; it opens with
    /// <c>torch.load(…, weights_only=True)</c>.</summary>
    /// <exception cref="UserErrorException">The path cannot be written.</exception>
    /// <exception cref="ArgumentException">Two tensors have one name.</exception>
    public static void Write(string path, IReadOnlyList<TensorSource> tensors) => TorchArchiveWriter.Write(path, tensors);

    /// <summary>Whether the dictionary has that key.</summary>
    public bool Contains(string name) => _tensors.ContainsKey(name) || _unread.ContainsKey(name);

    /// <inheritdoc/>
    TensorType ITensorFile.TypeOf(string name) => _tensors.TryGetValue(name, out PickleReader.Tensor? tensor)
        ? tensor.Storage.Type : TensorType.Other;

    /// <summary>Finds a tensor.</summary>
    /// <param name="name">Its key in the dictionary.</param>
    /// <param name="type">Encoding of its elements.</param>
    /// <param name="shape">Row-major axes.</param>
    /// <param name="bytes">Its elements, row-major; valid until <see cref="Dispose"/>.</param>
    /// <exception cref="UserErrorException">It takes 2 GiB or more, and its elements do not lie in order.</exception>
    public bool TryGet(string name, out TensorType type, out long[] shape, out LongBytes bytes)
    {
        type = default;
        shape = [];
        bytes = default;
        if (!_tensors.TryGetValue(name, out PickleReader.Tensor? tensor))
        {
            if (_unread.TryGetValue(name, out string? reason))
            {
                throw Broken(name, reason);
            }

            return false;
        }

        (type, shape) = (tensor.Storage.Type, tensor.Shape);
        TensorTypes.TryCount(shape, out long count);
        long byteCount = count * type.ByteSize();
        if (IsContiguous(tensor))
        {
            bytes = _file.Long(Record(tensor).Begin + (tensor.Offset * type.ByteSize()), byteCount);
            return true;
        }

        bytes = byteCount <= int.MaxValue
            ? LongBytes.Of(Gather(tensor, (int)byteCount))
            : throw new UserErrorException($"'{Path}': tensor {SafetensorsHeader.Quote(name)} takes {byteCount} bytes, and is a view that "
                + $"does not lie in order, of which at most {int.MaxValue} bytes are read; save it with .contiguous()");
        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private (long Begin, long Count) Record(PickleReader.Tensor tensor) => _entries[$"{_prefix}data/{tensor.Storage.Key}"];

    private void CheckByteOrder()
    {
        if (_entries.TryGetValue(_prefix + "byteorder", out (long Begin, long Count) order)
            && !_file.Span(order.Begin, (int)Math.Min(order.Count, 16)).SequenceEqual("little"u8))
        {
            throw new UserErrorException($"'{Path}' was written on a big-endian machine, which is not supported");
        }
    }

    private void Collect(object? root)
    {
        if (root is not PickleReader.Dictionary dictionary)
        {
            throw new UserErrorException($"'{Path}' does not hold a dictionary of tensors");
        }

        foreach ((object? key, object? value) in dictionary.Items)
        {
            if (key is not string name)
            {
                throw new UserErrorException($"'{Path}' does not hold a dictionary of tensors: one of its keys is not text");
            }

            _tensors.Remove(name);
            _unread.Remove(name);
            if (value is not PickleReader.Tensor tensor)
            {
                // A number or a text beside the tensors is nobody's parameter.
                if (value is PickleReader.Dictionary or PickleReader.Opaque)
                {
                    _unread[name] = value is PickleReader.Dictionary
                        ? "is a dictionary of its own; save that one, as in torch.save(checkpoint[key], path)"
                        : $"is made by {((PickleReader.Opaque)value).Made}, which is not read; save plain tensors";
                }
            }
            else if (Fault(tensor) is { } fault)
            {
                _unread[name] = fault;
            }
            else
            {
                _tensors[name] = tensor;
            }
        }

        if (_tensors.Count == 0 && dictionary.Items is [{ Key: var first }, ..])
        {
            throw _unread.FirstOrDefault() is { Key: { } only, Value: { } why }
                ? Broken(only, why)
                : new UserErrorException($"'{Path}' does not hold a dictionary of tensors: the value of "
                    + $"{SafetensorsHeader.Quote((string)first!)} is not a tensor");
        }
    }

    /// <summary>Why a tensor cannot be read; null when every element lies inside the storage's record, which has as many.</summary>
    private string? Fault(PickleReader.Tensor tensor)
    {
        if (tensor.Storage.Type == TensorType.Other)
        {
            return $"is a {tensor.Storage.TypeName[..^"Storage".Length]} tensor, which is not read; save the weights in float32, "
                + "float16 or bfloat16";
        }

        if (!_entries.TryGetValue($"{_prefix}data/{tensor.Storage.Key}", out (long Begin, long Count) record))
        {
            return $"lies in the record {SafetensorsHeader.Quote($"data/{tensor.Storage.Key}")}, which is missing";
        }

        long held = record.Count / tensor.Storage.Type.ByteSize();
        Int128 last = tensor.Offset;
        for (int i = 0; i < Math.Min(tensor.Shape.Length, tensor.Strides.Length); i++)
        {
            last += (Int128)Math.Max(tensor.Shape[i] - 1, 0) * tensor.Strides[i];
        }

        bool fits = TensorTypes.TryCount(tensor.Shape, out long count) && count <= held && tensor.Offset >= 0
            && tensor.Strides.Length == tensor.Shape.Length && tensor.Strides.All(s => s >= 0) && tensor.Shape.Length <= 32
            && (count == 0 ? tensor.Offset <= held : last < held);
        return fits ? null : $"of shape {TensorTypes.Format(tensor.Shape)}, strides {TensorTypes.Format(tensor.Strides)} and offset "
            + $"{tensor.Offset} does not fit its record of {held} elements";
    }

    private static bool IsContiguous(PickleReader.Tensor tensor)
    {
        long expected = 1;
        for (int i = tensor.Shape.Length - 1; i >= 0; i--)
        {
            if (tensor.Shape[i] != 1 && tensor.Strides[i] != expected)
            {
                return tensor.Shape.Contains(0);
            }

            expected *= tensor.Shape[i];
        }

        return true;
    }

    /// <summary>Copies a strided view (such as a transposed weight) into row-major order.</summary>
    private byte[] Gather(PickleReader.Tensor tensor, int byteCount)
    {
        int size = tensor.Storage.Type.ByteSize();
        long begin = Record(tensor).Begin;
        byte[] bytes = new byte[byteCount];
        long[] index = new long[tensor.Shape.Length];
        long element = tensor.Offset;
        for (int at = 0; at < byteCount; at += size)
        {
            _file.Span(begin + (element * size), size).CopyTo(bytes.AsSpan(at));
            for (int axis = index.Length - 1; axis >= 0; axis--)
            {
                element += tensor.Strides[axis];
                if (++index[axis] < tensor.Shape[axis])
                {
                    break;
                }

                element -= tensor.Strides[axis] * tensor.Shape[axis];
                index[axis] = 0;
            }
        }

        return bytes;
    }

    private UserErrorException Broken(string tensor, string what) => new($"'{Path}': tensor {SafetensorsHeader.Quote(tensor)} {what}");
}
