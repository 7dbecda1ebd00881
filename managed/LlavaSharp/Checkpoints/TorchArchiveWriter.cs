using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace LlavaSharp.Checkpoints;

/// <summary>Writes the zip that torch.save makes: a pickle that names storages, and one stored record a storage,
/// each aligned to 64 bytes so that a reader can map it. Same tensors, same bytes: there is no date in it.</summary>
internal static class TorchArchiveWriter
{
    private const int Alignment = 64;

    internal static void Write(string path, IReadOnlyList<TensorSource> tensors)
    {
        if (tensors.Select(t => t.Name).Distinct().Count() != tensors.Count)
        {
            throw new ArgumentException("two tensors have one name", nameof(tensors));
        }

        // Zip64 records would be needed from here on; a projector has 42 to 126 MB.
        if (tensors.Sum(t => (double)t.ByteCount + 1024) >= uint.MaxValue || tensors.Count > 60000)
        {
            throw new ArgumentException($"{tensors.Sum(t => t.ByteCount)} bytes in {tensors.Count} tensors are too many for a .bin "
                + "file; write safetensors", nameof(tensors));
        }

        AtomicFile.Write(path, stream =>
        {
            string folder = Path.GetFileNameWithoutExtension(path);
            var zip = new Zip(stream, Encoding.UTF8.GetByteCount(folder) <= 200 ? folder : "archive");
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

    /// <summary>Stored entries, local headers first, the list of them at the end.</summary>
    private sealed class Zip(Stream stream, string folder)
    {
        private readonly List<byte> _directory = [];
        private ushort _count;

        internal void Add(string name, Action<Stream> write, long expected = -1)
        {
            byte[] path = Encoding.UTF8.GetBytes($"{folder}/{name}");
            long local = stream.Position;

            // An extra field "FB" of filler moves the data to its alignment.
            int filler = (int)(-(local + 30 + path.Length + 4) & (Alignment - 1));
            long begin = local + 30 + path.Length + 4 + filler;
            stream.Position = begin;
            using var hashing = new HashingStream(stream);
            write(hashing);
            long count = stream.Position - begin;
            if (expected >= 0 && count != expected)
            {
                throw new InvalidOperationException($"'{name}' wrote {count} bytes; its shape needs {expected}");
            }

            byte[] header = new byte[30];
            BinaryPrimitives.WriteUInt32LittleEndian(header, 0x04034b50);
            Common(header.AsSpan(4), hashing.Crc, count, path.Length);
            BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(28), (ushort)(4 + filler));
            stream.Position = local;
            stream.Write(header);
            stream.Write(path);
            stream.Write([(byte)'F', (byte)'B', (byte)filler, 0]);
            stream.Write(Enumerable.Repeat((byte)'Z', filler).ToArray());
            stream.Position = begin + count;

            byte[] entry = new byte[46];
            BinaryPrimitives.WriteUInt32LittleEndian(entry, 0x02014b50);
            Common(entry.AsSpan(6), hashing.Crc, count, path.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(42), checked((uint)local));
            _directory.AddRange(entry);
            _directory.AddRange(path);
            _count++;
        }

        internal void Finish()
        {
            long begin = stream.Position;
            stream.Write([.. _directory]);
            byte[] end = new byte[22];
            BinaryPrimitives.WriteUInt32LittleEndian(end, 0x06054b50);
            BinaryPrimitives.WriteUInt16LittleEndian(end.AsSpan(8), _count);
            BinaryPrimitives.WriteUInt16LittleEndian(end.AsSpan(10), _count);
            BinaryPrimitives.WriteUInt32LittleEndian(end.AsSpan(12), checked((uint)_directory.Count));
            BinaryPrimitives.WriteUInt32LittleEndian(end.AsSpan(16), checked((uint)begin));
            stream.Write(end);
        }

        /// <summary>What a local header and a list entry share, from "version needed" to "name length". UTF-8 names.</summary>
        private static void Common(Span<byte> at, uint crc, long count, int nameBytes)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(at[2..], 0x0800);
            BinaryPrimitives.WriteUInt32LittleEndian(at[10..], crc);
            BinaryPrimitives.WriteUInt32LittleEndian(at[14..], checked((uint)count));
            BinaryPrimitives.WriteUInt32LittleEndian(at[18..], checked((uint)count));
            BinaryPrimitives.WriteUInt16LittleEndian(at[22..], (ushort)nameBytes);
        }
    }

    /// <summary>Passes bytes on and keeps their CRC-32.</summary>
    private sealed class HashingStream(Stream inner) : Stream
    {
        private readonly Crc32 _crc = new();

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        internal uint Crc => _crc.GetCurrentHashAsUInt32();

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            _crc.Append(buffer);
            inner.Write(buffer);
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush() => inner.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
