using System.Runtime.InteropServices;
using System.Text;

namespace LlavaSharp.Gguf;

/// <summary>The keys and values at the head of a GGUF file, in the order in which they were added.</summary>
public sealed class GgufMetadata
{
    /// <summary>The format's numbers of value types.</summary>
    private const uint UInt32Type = 4, Int32Type = 5, Float32Type = 6, BoolType = 7, StringType = 8, ArrayType = 9;

    private readonly List<byte> _bytes = [];
    private readonly HashSet<string> _keys = [];

    /// <summary>Number of keys.</summary>
    public int Count => _keys.Count;

    /// <summary>The keys and values, encoded.</summary>
    internal ReadOnlySpan<byte> Bytes => CollectionsMarshal.AsSpan(_bytes);

    /// <summary>Adds a token's id; a negative one, which stands for no token, adds nothing.</summary>
    public GgufMetadata AddToken(string key, int id) => id < 0 ? this : Add(key, id);

    /// <summary>Adds an unsigned number; negative ones are refused.</summary>
    public GgufMetadata Add(string key, int value) => Entry(key, UInt32Type, w => w.Write(checked((uint)value)));

    /// <summary>Adds a number.</summary>
    public GgufMetadata Add(string key, double value) => Entry(key, Float32Type, w => w.Write((float)value));

    /// <summary>Adds a truth value.</summary>
    public GgufMetadata Add(string key, bool value) => Entry(key, BoolType, w => w.Write(value));

    /// <summary>Adds a text.</summary>
    public GgufMetadata Add(string key, string value) => Entry(key, StringType, w => Text(w, value));

    /// <summary>Adds a list of texts.</summary>
    public GgufMetadata Add(string key, IReadOnlyList<string> values) =>
        Array(key, StringType, values.Count, w => values.ToList().ForEach(v => Text(w, v)));

    /// <summary>Adds a list of numbers.</summary>
    public GgufMetadata Add(string key, IReadOnlyList<float> values) =>
        Array(key, Float32Type, values.Count, w => values.ToList().ForEach(w.Write));

    /// <summary>Adds a list of whole numbers.</summary>
    public GgufMetadata Add(string key, IReadOnlyList<int> values) =>
        Array(key, Int32Type, values.Count, w => values.ToList().ForEach(w.Write));

    /// <summary>Writes a text as the format has it: bytes of UTF-8 after their count.</summary>
    internal static void Text(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private GgufMetadata Array(string key, uint type, int count, Action<BinaryWriter> write) => Entry(key, ArrayType, writer =>
    {
        writer.Write(type);
        writer.Write((ulong)count);
        write(writer);
    });

    private GgufMetadata Entry(string key, uint type, Action<BinaryWriter> write)
    {
        if (!_keys.Add(key))
        {
            throw new ArgumentException($"the key '{key}' is there already", nameof(key));
        }

        using var bytes = new MemoryStream();
        using var writer = new BinaryWriter(bytes);
        Text(writer, key);
        writer.Write(type);
        write(writer);
        writer.Flush();
        _bytes.AddRange(bytes.ToArray());
        return this;
    }
}
