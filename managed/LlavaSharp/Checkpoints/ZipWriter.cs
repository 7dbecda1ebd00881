using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace LlavaSharp.Checkpoints;

/// <summary>Writes a zip of stored entries, local headers first, the list of them at the end; each entry's data is aligned to 64 bytes.
/// What 32 bits do not hold stands in Zip64 fields.</summary>
/// <param name="stream">The file; it can seek.</param>
/// <param name="folder">The folder that all entries lie in.</param>
/// <param name="end32">Sizes and places from here on stand in Zip64 fields.</param>
/// <remarks>Format: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5 (Zip64).</remarks>
internal sealed class ZipWriter(Stream stream, string folder, long end32)
{
    private const int Alignment = 64, LocalBytes = 30, EntryBytes = 46, FieldBytes = 4;

    private readonly List<byte> _directory = [];
    private long _count;

    /// <summary>Adds an entry.</summary>
    /// <param name="name">Its name in the folder.</param>
    /// <param name="write">Writes its data.</param>
    /// <param name="expected">The data's bytes, where they may be many; -1 for a short one.</param>
    /// <exception cref="InvalidOperationException">The data has another length.</exception>
    internal void Add(string name, Action<Stream> write, long expected = -1)
    {
        byte[] path = Encoding.UTF8.GetBytes($"{folder}/{name}");
        long local = stream.Position;
        bool isLarge = expected >= end32;

        // An extra field "FB" of filler moves the data to its alignment.
        int sizes = isLarge ? FieldBytes + 16 : 0;
        int filler = (int)(-(local + LocalBytes + path.Length + sizes + FieldBytes) & (Alignment - 1));
        long begin = local + LocalBytes + path.Length + sizes + FieldBytes + filler;
        stream.Position = begin;
        using var hashing = new HashingStream(stream);
        write(hashing);
        long count = stream.Position - begin;
        if (expected >= 0 && count != expected)
        {
            throw new InvalidOperationException($"'{name}' wrote {count} bytes; its shape needs {expected}");
        }

        byte[] header = new byte[LocalBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(header, 0x04034b50);
        Common(header.AsSpan(4), hashing.Crc, count, isLarge, path.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(28), (ushort)(sizes + FieldBytes + filler));
        stream.Position = local;
        stream.Write(header);
        stream.Write(path);
        stream.Write(Zip64(isLarge ? [count, count] : []));
        stream.Write([(byte)'F', (byte)'B', (byte)filler, 0]);
        stream.Write(Enumerable.Repeat((byte)'Z', filler).ToArray());
        stream.Position = begin + count;
        AddToDirectory(path, local, count, isLarge, hashing.Crc);
    }

    /// <summary>Writes the list of entries.</summary>
    internal void Finish()
    {
        long begin = stream.Position;
        stream.Write([.. _directory]);
        bool isLarge = begin >= end32 || _directory.Count >= end32 || _count >= ushort.MaxValue;
        if (isLarge)
        {
            WriteEnd64(begin);
        }

        byte[] end = new byte[22];
        BinaryPrimitives.WriteUInt32LittleEndian(end, 0x06054b50);
        BinaryPrimitives.WriteUInt16LittleEndian(end.AsSpan(8), isLarge ? ushort.MaxValue : (ushort)_count);
        BinaryPrimitives.WriteUInt16LittleEndian(end.AsSpan(10), isLarge ? ushort.MaxValue : (ushort)_count);
        BinaryPrimitives.WriteUInt32LittleEndian(end.AsSpan(12), isLarge ? uint.MaxValue : (uint)_directory.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(end.AsSpan(16), isLarge ? uint.MaxValue : (uint)begin);
        stream.Write(end);
    }

    private void AddToDirectory(byte[] path, long local, long count, bool isLarge, uint crc)
    {
        bool isFar = local >= end32;
        byte[] large = Zip64([.. isLarge ? (long[])[count, count] : [], .. isFar ? (long[])[local] : []]);
        byte[] entry = new byte[EntryBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(entry, 0x02014b50);
        Common(entry.AsSpan(6), crc, count, isLarge, path.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(30), (ushort)large.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(42), isFar ? uint.MaxValue : (uint)local);
        _directory.AddRange(entry);
        _directory.AddRange(path);
        _directory.AddRange(large);
        _count++;
    }

    // The Zip64 end record, and the locator that leads to it from the end.
    private void WriteEnd64(long begin)
    {
        long at = stream.Position;
        byte[] end = new byte[56 + 20];
        BinaryPrimitives.WriteUInt32LittleEndian(end, 0x06064b50);
        BinaryPrimitives.WriteInt64LittleEndian(end.AsSpan(4), 56 - 12);
        BinaryPrimitives.WriteUInt16LittleEndian(end.AsSpan(12), 45);
        BinaryPrimitives.WriteUInt16LittleEndian(end.AsSpan(14), 45);
        BinaryPrimitives.WriteInt64LittleEndian(end.AsSpan(24), _count);
        BinaryPrimitives.WriteInt64LittleEndian(end.AsSpan(32), _count);
        BinaryPrimitives.WriteInt64LittleEndian(end.AsSpan(40), _directory.Count);
        BinaryPrimitives.WriteInt64LittleEndian(end.AsSpan(48), begin);
        BinaryPrimitives.WriteUInt32LittleEndian(end.AsSpan(56), 0x07064b50);
        BinaryPrimitives.WriteInt64LittleEndian(end.AsSpan(64), at);
        BinaryPrimitives.WriteUInt32LittleEndian(end.AsSpan(72), 1);
        stream.Write(end);
    }

    /// <summary>The extra field (id 1) of values that are all ones elsewhere; empty for none.</summary>
    private static byte[] Zip64(long[] values)
    {
        if (values.Length == 0)
        {
            return [];
        }

        byte[] field = new byte[FieldBytes + (8 * values.Length)];
        BinaryPrimitives.WriteUInt16LittleEndian(field, 1);
        BinaryPrimitives.WriteUInt16LittleEndian(field.AsSpan(2), (ushort)(8 * values.Length));
        for (int i = 0; i < values.Length; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(field.AsSpan(FieldBytes + (8 * i)), values[i]);
        }

        return field;
    }

    /// <summary>What a local header and a list entry share, from "version needed" to "name length". UTF-8 names.</summary>
    private static void Common(Span<byte> at, uint crc, long count, bool isLarge, int nameBytes)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(at, isLarge ? (ushort)45 : (ushort)0);
        BinaryPrimitives.WriteUInt16LittleEndian(at[2..], 0x0800);
        BinaryPrimitives.WriteUInt32LittleEndian(at[10..], crc);
        BinaryPrimitives.WriteUInt32LittleEndian(at[14..], isLarge ? uint.MaxValue : (uint)count);
        BinaryPrimitives.WriteUInt32LittleEndian(at[18..], isLarge ? uint.MaxValue : (uint)count);
        BinaryPrimitives.WriteUInt16LittleEndian(at[22..], (ushort)nameBytes);
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
