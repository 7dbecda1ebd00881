using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;

namespace LlavaSharp.Field.Tests;

/// <summary>A tensor of a safetensors file, read and written here without the library, so that files may be wrong.</summary>
/// <param name="Type">Its dtype, by the format's name.</param>
/// <param name="Shape">Its axes.</param>
/// <param name="Bytes">Its elements, as many as they may be.</param>
internal sealed record FieldTensor(string Type, long[] Shape, byte[] Bytes)
{
    /// <summary>A float32 tensor of one value.</summary>
    public static FieldTensor Of(float value, params long[] shape)
    {
        var bytes = new byte[4 * shape.Aggregate(1L, (a, b) => a * b)];
        for (var at = 0; at < bytes.Length; at += 4)
        {
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(at), value);
        }

        return new("F32", shape, bytes);
    }

    /// <summary>The tensor with another first value.</summary>
    public FieldTensor With(float value)
    {
        var bytes = Bytes.ToArray();
        BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
        return this with { Bytes = bytes };
    }

    /// <summary>The tensor in bfloat16, cut off.</summary>
    public FieldTensor ToBFloat16() => new("BF16", Shape, [.. Bytes.Chunk(4).SelectMany(f => f[2..])]);

    public static SortedDictionary<string, FieldTensor> Read(string path)
    {
        var file = File.ReadAllBytes(path);
        var length = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        var data = file.AsMemory(8 + length);
        var header = JsonNode.Parse(file.AsSpan(8, length))!.AsObject();
        return new(
            header.Where(t => t.Key != "__metadata__").ToDictionary(t => t.Key, t =>
            {
                var range = t.Value!["data_offsets"]!.AsArray();
                return new FieldTensor(
                    t.Value["dtype"]!.GetValue<string>(),
                    [.. t.Value["shape"]!.AsArray().Select(n => n!.GetValue<long>())],
                    data[range[0]!.GetValue<int>()..range[1]!.GetValue<int>()].ToArray());
            }),
            StringComparer.Ordinal);
    }

    public static void Write(string path, SortedDictionary<string, FieldTensor> tensors)
    {
        var (header, at) = (new JsonObject { ["__metadata__"] = new JsonObject { ["format"] = "pt" } }, 0L);
        foreach (var (name, tensor) in tensors)
        {
            header[name] = new JsonObject
            {
                ["dtype"] = tensor.Type,
                ["shape"] = new JsonArray([.. tensor.Shape.Select(n => JsonValue.Create(n))]),
                ["data_offsets"] = new JsonArray(at, at += tensor.Bytes.Length),
            };
        }

        var text = Encoding.UTF8.GetBytes(header.ToJsonString());
        byte[] padded = [.. text, .. Enumerable.Repeat((byte)' ', -text.Length & 7)];
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, padded.Length);
        File.WriteAllBytes(path, [.. length, .. padded, .. tensors.Values.SelectMany(t => t.Bytes)]);
    }
}
