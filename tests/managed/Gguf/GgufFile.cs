using System.Text;

namespace LlavaSharp.Tests.Gguf;

/// <summary>A reader of GGUF written from the format's description alone: metadata, tensors, and their values as float32.</summary>
internal sealed class GgufFile
{
    private readonly byte[] _bytes;
    private readonly long _data;

    public GgufFile(string path)
    {
        _bytes = File.ReadAllBytes(path);
        using var reader = new BinaryReader(new MemoryStream(_bytes));
        Assert.Equal("GGUF", Encoding.ASCII.GetString(reader.ReadBytes(4)));
        Assert.Equal(3u, reader.ReadUInt32());
        ulong tensors = reader.ReadUInt64(), keys = reader.ReadUInt64();
        for (ulong i = 0; i < keys; i++)
        {
            string key = Text(reader);
            Metadata.Add(key, Value(reader, reader.ReadUInt32()));
        }

        for (ulong i = 0; i < tensors; i++)
        {
            string name = Text(reader);
            long[] axes = new long[reader.ReadUInt32()];
            for (int axis = 0; axis < axes.Length; axis++)
            {
                axes[axis] = (long)reader.ReadUInt64();
            }

            Tensors.Add(name, (axes, reader.ReadUInt32(), (long)reader.ReadUInt64()));
        }

        _data = (reader.BaseStream.Position + 31) / 32 * 32;
        Assert.Equal(0, _bytes.Length % 32);
    }

    public Dictionary<string, object> Metadata { get; } = [];

    /// <summary>Axes as the file lists them (the fastest first), type, offset.</summary>
    public Dictionary<string, (long[] Axes, uint Type, long Offset)> Tensors { get; } = [];

    public float[] Floats(string name)
    {
        (long[] axes, uint type, long offset) = Tensors[name];
        Assert.Equal(0, offset % 32);
        int count = (int)axes.Aggregate(1L, (a, b) => a * b), at = (int)(_data + offset);
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
        {
            values[i] = type switch
            {
                0 => BitConverter.ToSingle(_bytes, at + (4 * i)),
                1 => (float)BitConverter.ToHalf(_bytes, at + (2 * i)),
                30 => BitConverter.Int32BitsToSingle(BitConverter.ToUInt16(_bytes, at + (2 * i)) << 16),
                8 => (float)BitConverter.ToHalf(_bytes, at + (i / 32 * 34)) * (sbyte)_bytes[at + (i / 32 * 34) + 2 + (i % 32)],
                _ => throw new InvalidDataException($"type {type}"),
            };
        }

        return values;
    }

    private static string Text(BinaryReader reader) => Encoding.UTF8.GetString(reader.ReadBytes((int)reader.ReadUInt64()));

    private static object Value(BinaryReader reader, uint type)
    {
        switch (type)
        {
            case 4:
                return reader.ReadUInt32();
            case 5:
                return reader.ReadInt32();
            case 6:
                return reader.ReadSingle();
            case 7:
                return reader.ReadBoolean();
            case 8:
                return Text(reader);
            case 9:
                uint element = reader.ReadUInt32();
                ulong count = reader.ReadUInt64();
                object[] items = new object[count];
                for (ulong i = 0; i < count; i++)
                {
                    items[i] = Value(reader, element);
                }

                return items;
            default:
                throw new InvalidDataException($"value type {type}");
        }
    }
}
