using System.Text;

namespace LlavaSharp.Checkpoints;

/// <summary>Writes the zip that torch.save makes: a pickle that names storages, and one stored record a storage,
/// each aligned to 64 bytes so that a reader can map it. Same tensors, same bytes: there is no date in it.</summary>
internal static class TorchArchiveWriter
{
    /// <summary>Writes a file, whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tensors">What it holds.</param>
    /// <param name="end32">Sizes and places from here on stand in Zip64 fields: 32 bits hold no more. Tests lower it.</param>
    internal static void Write(string path, IReadOnlyList<TensorSource> tensors, long end32 = uint.MaxValue)
    {
        if (tensors.Select(t => t.Name).Distinct().Count() != tensors.Count)
        {
            throw new ArgumentException("two tensors have one name", nameof(tensors));
        }

        AtomicFile.Write(path, stream =>
        {
            string folder = Path.GetFileNameWithoutExtension(path);
            var zip = new ZipWriter(stream, Encoding.UTF8.GetByteCount(folder) <= 200 ? folder : "archive", end32);
            zip.Add("data.pkl", s => s.Write(Pickle(tensors)));
            zip.Add(".format_version", s => s.Write("1"u8));
            zip.Add(".storage_alignment", s => s.Write("64"u8));
            zip.Add("byteorder", s => s.Write("little"u8));
            for (int i = 0; i < tensors.Count; i++)
            {
                zip.Add($"data/{i}", tensors[i].WriteTo, tensors[i].ByteCount);
            }

            zip.Add("version", s => s.Write("3\n"u8));
            zip.Finish();
        });
    }

    /// <summary>The pickle, protocol 2, without a memo: each value is written where it stands.</summary>
    private static byte[] Pickle(IReadOnlyList<TensorSource> tensors)
    {
        using var bytes = new MemoryStream();
        using var p = new BinaryWriter(bytes);
        p.Write([0x80, 2, (byte)'}', (byte)'(']);
        for (int i = 0; i < tensors.Count; i++)
        {
            TensorSource tensor = tensors[i];
            TensorTypes.TryCount([.. tensor.Shape], out long count);
            Text(p, tensor.Name);
            p.Write("ctorch._utils\n_rebuild_tensor_v2\n(("u8);
            Text(p, "storage");
            p.Write(Encoding.UTF8.GetBytes($"ctorch\n{StorageName(tensor.Type)}\n"));
            Text(p, i.ToString(System.Globalization.CultureInfo.InvariantCulture));
            Text(p, "cpu");
            Number(p, count);
            p.Write("tQK\0"u8); // end of the persistent id; offset 0
            Tuple(p, tensor.Shape);
            Tuple(p, Strides(tensor.Shape));
            p.Write([0x89]); // requires_grad = False
            p.Write("ccollections\nOrderedDict\n)RtR"u8);
        }

        p.Write("u."u8);
        p.Flush();
        return bytes.ToArray();
    }

    private static void Text(BinaryWriter p, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        p.Write((byte)'X');
        p.Write(bytes.Length);
        p.Write(bytes);
    }

    private static void Number(BinaryWriter p, long value)
    {
        switch (value)
        {
            case >= 0 and <= byte.MaxValue:
                p.Write((byte)'K');
                p.Write((byte)value);
                break;
            case >= int.MinValue and <= int.MaxValue:
                p.Write((byte)'J');
                p.Write((int)value);
                break;
            default:
                p.Write([0x8a, 8]);
                p.Write(value);
                break;
        }
    }

    private static void Tuple(BinaryWriter p, IReadOnlyList<long> values)
    {
        p.Write((byte)'(');
        foreach (long value in values)
        {
            Number(p, value);
        }

        p.Write((byte)'t');
    }

    private static long[] Strides(IReadOnlyList<long> shape)
    {
        long[] strides = new long[shape.Count];
        long step = 1;
        for (int i = shape.Count - 1; i >= 0; i--)
        {
            strides[i] = step;
            step *= Math.Max(shape[i], 1);
        }

        return strides;
    }

    private static string StorageName(TensorType type) => type switch
    {
        TensorType.F32 => "FloatStorage",
        TensorType.F16 => "HalfStorage",
        TensorType.BF16 => "BFloat16Storage",
        TensorType.F64 => "DoubleStorage",
        TensorType.I64 => "LongStorage",
        TensorType.I32 => "IntStorage",
        TensorType.I16 => "ShortStorage",
        TensorType.I8 => "CharStorage",
        TensorType.U8 => "ByteStorage",
        TensorType.Bool => "BoolStorage",
        _ => throw new ArgumentException($"torch has no storage of {type}", nameof(type)),
    };
}
