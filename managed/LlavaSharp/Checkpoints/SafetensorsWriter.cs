using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace LlavaSharp.Checkpoints;

/// <summary>Writes safetensors files as the reference implementation lays them out: wider elements first, then by
/// name, and a header padded with spaces to eight bytes, so that every tensor is aligned to its element.</summary>
public static class SafetensorsWriter
{
    /// <summary>The largest shard written unless asked otherwise: 5 GB, as transformers 4 does.</summary>
    public const long DefaultShardBytesMax = 5_000_000_000;

    private static readonly JavaScriptEncoder Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping;

    /// <summary>Writes one file, whole or not at all. Metadata defaults to <c>{"format": "pt"}</c>, which
    /// transformers asks for.</summary>
    /// <exception cref="UserErrorException">The path cannot be written.</exception>
    /// <exception cref="ArgumentException">Two tensors have one name.</exception>
    public static void Write(
        string path, IReadOnlyList<TensorSource> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        TensorSource[] ordered = Order(tensors);
        byte[] header = Header(ordered, metadata ?? new Dictionary<string, string> { ["format"] = "pt" });
        AtomicFile.Write(path, file =>
        {
            Span<byte> length = stackalloc byte[8];
            BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
            file.Write(length);
            file.Write(header);
            foreach (TensorSource tensor in ordered)
            {
                long begin = file.Position;
                tensor.WriteTo(file);
                if (file.Position - begin != tensor.ByteCount)
                {
                    throw new InvalidOperationException($"tensor '{tensor.Name}' wrote {file.Position - begin} bytes; "
                        + $"its shape needs {tensor.ByteCount}");
                }
            }
        });
    }

    /// <summary>Writes <c>model.safetensors</c>, or, past <paramref name="shardBytesMax"/> of tensors, shards
    /// <c>model-00001-of-0000N.safetensors</c> and <c>model.safetensors.index.json</c>. A tensor is never cut, so a
    /// shard of one tensor may be larger.</summary>
    /// <returns>The names of the files written, the index last.</returns>
    /// <exception cref="UserErrorException">The folder cannot be written.</exception>
    public static IReadOnlyList<string> WriteSharded(
        string folder, IReadOnlyList<TensorSource> tensors, long shardBytesMax = DefaultShardBytesMax)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(shardBytesMax);
        List<List<TensorSource>> shards = Split(Order(tensors), shardBytesMax);
        if (shards.Count == 1)
        {
            Write(Path.Combine(folder, "model.safetensors"), shards[0]);
            return ["model.safetensors"];
        }

        var files = new List<string>();
        var owners = new SortedDictionary<string, string>(StringComparer.Ordinal);
        for (int i = 0; i < shards.Count; i++)
        {
            string file = $"model-{i + 1:D5}-of-{shards.Count:D5}.safetensors";
            Write(Path.Combine(folder, file), shards[i]);
            files.Add(file);
            shards[i].ForEach(t => owners.Add(t.Name, file));
        }

        var index = new
        {
            metadata = new { total_size = tensors.Sum(t => t.ByteCount) },
            weight_map = owners,
        };
        AtomicFile.WriteText(
            Path.Combine(folder, "model.safetensors.index.json"), JsonSerializer.Serialize(index, ConfigJson.WriteOptions));
        files.Add("model.safetensors.index.json");
        return files;
    }

    private static TensorSource[] Order(IReadOnlyList<TensorSource> tensors)
    {
        var names = new HashSet<string>();
        foreach (TensorSource tensor in tensors)
        {
            if (!names.Add(tensor.Name) || tensor.Name == "__metadata__")
            {
                throw new ArgumentException($"the tensor name '{tensor.Name}' is taken", nameof(tensors));
            }
        }

        return [.. tensors.OrderByDescending(t => t.Type.ByteSize()).ThenBy(t => t.Name, StringComparer.Ordinal)];
    }

    private static List<List<TensorSource>> Split(TensorSource[] ordered, long shardBytesMax)
    {
        var shards = new List<List<TensorSource>> { new() };
        long used = 0;
        foreach (TensorSource tensor in ordered)
        {
            if (shards[^1].Count > 0 && tensor.ByteCount > shardBytesMax - used)
            {
                shards.Add([]);
                used = 0;
            }

            shards[^1].Add(tensor);
            used += Math.Min(tensor.ByteCount, shardBytesMax);
        }

        return shards;
    }

    private static byte[] Header(TensorSource[] ordered, IReadOnlyDictionary<string, string> metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = Encoder }))
        {
            json.WriteStartObject();
            if (metadata.Count > 0)
            {
                json.WriteStartObject("__metadata__");
                foreach ((string key, string value) in metadata.OrderBy(p => p.Key, StringComparer.Ordinal))
                {
                    json.WriteString(key, value);
                }

                json.WriteEndObject();
            }

            long begin = 0;
            foreach (TensorSource tensor in ordered)
            {
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", tensor.Type.SafetensorsName());
                WriteNumbers(json, "shape", tensor.Shape);
                WriteNumbers(json, "data_offsets", [begin, begin += tensor.ByteCount]);
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        int padding = -buffer.WrittenCount & 7;
        buffer.GetSpan(padding)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, IReadOnlyList<long> numbers)
    {
        json.WriteStartArray(name);
        foreach (long number in numbers)
        {
            json.WriteNumberValue(number);
        }

        json.WriteEndArray();
    }
}
