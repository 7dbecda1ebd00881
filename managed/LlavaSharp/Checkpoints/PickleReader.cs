using System.Buffers.Binary;
using System.Text;

namespace LlavaSharp.Checkpoints;

/// <summary>Reads the pickle of a dictionary of tensors, and nothing else. It has no way to import or call anything:
/// the few names that torch.save writes for tensors stand for what this class itself builds, and any other name is
/// an error. So a hostile file can at worst be refused.</summary>
/// <remarks>Opcodes: Python's pickletools, protocols 2 to 4.</remarks>
internal sealed class PickleReader
{
    private static readonly object Mark = new();

    // torch.float32 and the like stand in some tensors' arguments.
    private static readonly HashSet<string> TypeNames =
    [
        "float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64", "complex128",
        "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "qint8", "quint8", "strided",
    ];

    private readonly string _path;
    private readonly byte[] _bytes;
    private readonly List<object?> _stack = [];
    private readonly Dictionary<int, object?> _memo = [];
    private int _at;

    private PickleReader(string path, byte[] bytes) => (_path, _bytes) = (path, bytes);

    /// <summary>The value that the pickle makes: null, bool, long, double, string, object?[] (tuple), List (list),
    /// <see cref="Dictionary"/>, <see cref="Name"/>, <see cref="Storage"/>, <see cref="Tensor"/>.</summary>
    /// <exception cref="UserErrorException">The pickle is damaged or holds more than tensors.</exception>
    internal static object? Read(string path, byte[] bytes)
    {
        var reader = new PickleReader(path, bytes);
        try
        {
            return reader.Run();
        }
        catch (Exception e) when (e is InvalidCastException or ArgumentException or IndexOutOfRangeException or NullReferenceException)
        {
            // A cast, a slice or a pop that the bytes did not deserve: every such fault is the file's.
            throw reader.Damaged("is malformed", e);
        }
    }

    private object? Run()
    {
        while (true)
        {
            byte op = Take(1)[0];
            switch (op)
            {
                case (byte)'.':
                    return Pop();
                case 0x80:
                    byte protocol = Take(1)[0];
                    if (protocol is < 2 or > 5)
                    {
                        throw Damaged($"has protocol {protocol}; 2 to 5 are read");
                    }

                    break;
                case 0x95:
                    Take(8);
                    break;
                case (byte)'(':
                    _stack.Add(Mark);
                    break;
                case (byte)'0':
                    Pop();
                    break;
                default:
                    if (!Constant(op) && !Memo(op) && !Container(op) && !Build(op))
                    {
                        throw Damaged($"has the opcode 0x{op:x2}, which no dictionary of tensors needs");
                    }

                    break;
            }
        }
    }

    private bool Constant(byte op)
    {
        switch (op)
        {
            case (byte)'N':
                _stack.Add(null);
                return true;
            case 0x88:
            case 0x89:
                _stack.Add(op == 0x88);
                return true;
            case (byte)'K':
                _stack.Add((long)Take(1)[0]);
                return true;
            case (byte)'M':
                _stack.Add((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2)));
                return true;
            case (byte)'J':
                _stack.Add((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4)));
                return true;
            case 0x8a:
                _stack.Add(Long(Take(Take(1)[0])));
                return true;
            case (byte)'G':
                _stack.Add(BinaryPrimitives.ReadDoubleBigEndian(Take(8)));
                return true;
            case (byte)'X':
                _stack.Add(Encoding.UTF8.GetString(Take(BinaryPrimitives.ReadInt32LittleEndian(Take(4)))));
                return true;
            case 0x8c:
                _stack.Add(Encoding.UTF8.GetString(Take(Take(1)[0])));
                return true;
            default:
                return false;
        }
    }

    private bool Memo(byte op)
    {
        switch (op)
        {
            case (byte)'q':
                _memo[Take(1)[0]] = Peek();
                return true;
            case (byte)'r':
                _memo[BinaryPrimitives.ReadInt32LittleEndian(Take(4))] = Peek();
                return true;
            case 0x94:
                _memo[_memo.Count] = Peek();
                return true;
            case (byte)'h':
                _stack.Add(Recall(Take(1)[0]));
                return true;
            case (byte)'j':
                _stack.Add(Recall(BinaryPrimitives.ReadInt32LittleEndian(Take(4))));
                return true;
            default:
                return false;
        }
    }

    private bool Container(byte op)
    {
        switch (op)
        {
            case (byte)'}':
                _stack.Add(new Dictionary());
                return true;
            case (byte)']':
                _stack.Add(new List<object?>());
                return true;
            case (byte)')':
                _stack.Add(Array.Empty<object?>());
                return true;
            case (byte)'t':
                _stack.Add(PopToMark());
                return true;
            case 0x85 or 0x86 or 0x87:
                _stack.Add(PopMany(op - 0x84));
                return true;
            case (byte)'s':
                SetItems(PopMany(2));
                return true;
            case (byte)'u':
                SetItems(PopToMark());
                return true;
            case (byte)'a':
                object?[] one = PopMany(1);
                ((List<object?>)Peek()!).AddRange(one);
                return true;
            case (byte)'e':
                object?[] items = PopToMark();
                ((List<object?>)Peek()!).AddRange(items);
                return true;
            default:
                return false;
        }
    }

    private bool Build(byte op)
    {
        switch (op)
        {
            case (byte)'c':
                string module = Line(), name = Line();
                _stack.Add(Allow(module, name));
                return true;
            case 0x93:
                object?[] both = PopMany(2);
                _stack.Add(Allow((string)both[0]!, (string)both[1]!));
                return true;
            case (byte)'Q':
                _stack.Add(Persistent((object?[])Pop()!));
                return true;
            case (byte)'R':
                object?[] call = PopMany(2);
                _stack.Add(Reduce((Name)call[0]!, (object?[])call[1]!));
                return true;
            case (byte)'b':
                // A state_dict carries attributes (_metadata); nothing of it is a tensor.
                Pop();
                return Peek() is Dictionary or Opaque ? true : throw Damaged("is malformed");
            default:
                return false;
        }
    }

    private Name Allow(string module, string name)
    {
        bool known = (module, name) switch
        {
            ("collections", "OrderedDict") => true,
            // What torch.load(weights_only=True) takes, too. Only tensors are built; the rest is skipped where nobody asks for it.
            ("torch._utils", _) => name.StartsWith("_rebuild_", StringComparison.Ordinal),
            ("torch", _) => IsStorage(name) || name is "Size" or "device" or "Tensor" || TypeNames.Contains(name),
            ("torch.nn.parameter", "Parameter") or ("torch.serialization", "_get_layout") or ("collections", "Counter") => true,
            ("builtins" or "__builtin__", "set" or "bytearray" or "complex") or ("_codecs", "encode") => true,
            _ => false,
        };
        return known
            ? new Name(module, name)
            : throw new UserErrorException($"'{_path}': its pickle asks for {SafetensorsHeader.Quote($"{module}.{name}")}; only "
                + "tensors are read from such a file, and nothing in it is ever run");
    }

    private Storage Persistent(object?[] id)
    {
        var type = (Name)id[1]!;
        return id.Length == 5 && (string)id[0]! == "storage" && IsStorage(type.Text) && type.Module == "torch"
            ? new Storage((string)id[2]!, StorageType(type.Text) ?? TensorType.Other, type.Text)
            : throw Damaged("is malformed");
    }

    private object Reduce(Name function, object?[] arguments)
    {
        switch (function.Text)
        {
            case "OrderedDict" when arguments.Length == 0:
                return new Dictionary();
            case "_rebuild_tensor_v2" when arguments.Length >= 6:
                return new Tensor((Storage)arguments[0]!, (long)arguments[1]!, Longs(arguments[2]), Longs(arguments[3]));
            case "_rebuild_parameter" when arguments.Length >= 1:
                return arguments[0] is Tensor or Opaque ? arguments[0]! : throw Damaged("is malformed");
            case "OrderedDict" or "_rebuild_tensor_v2" or "_rebuild_parameter":
                throw Damaged($"calls {function.Text} with {arguments.Length} arguments");
            default:
                return new Opaque($"{function.Module}.{function.Text}");
        }
    }

    private static bool IsStorage(string name) => name.EndsWith("Storage", StringComparison.Ordinal) && name.All(char.IsAsciiLetterOrDigit);

    private void SetItems(object?[] items)
    {
        var target = (Dictionary)Peek()!;
        for (int i = 0; i < items.Length; i += 2)
        {
            target.Items.Add(new(items[i], items[i + 1]));
        }
    }

    private static long[] Longs(object? tuple) => [.. ((object?[])tuple!).Select(item => (long)item!)];

    private static TensorType? StorageType(string name) => name switch
    {
        "FloatStorage" => TensorType.F32,
        "HalfStorage" => TensorType.F16,
        "BFloat16Storage" => TensorType.BF16,
        "DoubleStorage" => TensorType.F64,
        "LongStorage" => TensorType.I64,
        "IntStorage" => TensorType.I32,
        "ShortStorage" => TensorType.I16,
        "CharStorage" => TensorType.I8,
        "ByteStorage" => TensorType.U8,
        "BoolStorage" => TensorType.Bool,
        _ => null,
    };

    /// <summary>A little-endian two's complement integer of up to 8 bytes.</summary>
    private long Long(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > 8)
        {
            throw Damaged($"has an integer of {bytes.Length} bytes");
        }

        long value = bytes.Length > 0 && bytes[^1] >= 0x80 ? -1 : 0;
        for (int i = bytes.Length - 1; i >= 0; i--)
        {
            value = (value << 8) | bytes[i];
        }

        return value;
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count < 0 || count > _bytes.Length - _at)
        {
            throw Damaged($"ends in the middle, at byte {_bytes.Length}");
        }

        _at += count;
        return _bytes.AsSpan(_at - count, count);
    }

    private string Line()
    {
        int length = _bytes.AsSpan(_at).IndexOf((byte)'\n');
        string text = Encoding.UTF8.GetString(Take(length < 0 ? int.MaxValue : length));
        Take(1);
        return text;
    }

    private object? Peek() => _stack[^1];

    private object? Recall(int index) => _memo.TryGetValue(index, out object? value)
        ? value : throw Damaged($"recalls the value {index}, which it did not remember");

    private object? Pop() => PopMany(1)[0];

    private object?[] PopMany(int count)
    {
        object?[] items = [.. _stack[^count..]];
        _stack.RemoveRange(_stack.Count - count, count);
        return items.Contains(Mark) ? throw Damaged("is malformed") : items;
    }

    private object?[] PopToMark()
    {
        int mark = _stack.LastIndexOf(Mark);
        object?[] items = [.. _stack[(mark + 1)..]];
        _stack.RemoveRange(mark, _stack.Count - mark);
        return items;
    }

    private UserErrorException Damaged(string what, Exception? inner = null) =>
        new($"'{_path}': its pickle {what} (near byte {_at}); copy or download the file again", inner!);

    /// <summary>An allowed name: a function or a storage class.</summary>
    internal sealed record Name(string Module, string Text);

    /// <summary>A record of the archive, <c>data/{Key}</c>, the type of its elements, and torch's name of that.</summary>
    internal sealed record Storage(string Key, TensorType Type, string TypeName);

    /// <summary>What torch would make by calling something; nothing is called.</summary>
    internal sealed record Opaque(string Made);

    /// <summary>A view of a storage; offset and strides count elements.</summary>
    internal sealed record Tensor(Storage Storage, long Offset, long[] Shape, long[] Strides);

    /// <summary>A dictionary in order of insertion. Keys are not hashed: they come from strangers.</summary>
    internal sealed class Dictionary
    {
        internal List<KeyValuePair<object?, object?>> Items { get; } = [];
    }
}
