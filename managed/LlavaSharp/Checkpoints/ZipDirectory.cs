using System.Buffers.Binary;
using System.Text;

namespace LlavaSharp.Checkpoints;

/// <summary>Finds the stored entries of a zip file that torch.save wrote. Entries are used in place, so compressed
/// ones are refused; that also means that no entry can unfold into more than the file holds.</summary>
/// <remarks>Format: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5 (Zip64).</remarks>
internal static class ZipDirectory
{
    private const uint LocalSignature = 0x04034b50, EntrySignature = 0x02014b50, EndSignature = 0x06054b50;
    private const uint End64Signature = 0x06064b50, Locator64Signature = 0x07064b50;
    private const int DirectoryBytesMax = 64 << 20;
    private const int EndBytes = 22, Locator64Bytes = 20, End64Bytes = 56, EntryBytes = 46, LocalBytes = 30;

    /// <summary>Entries by name: first byte and length of their data.</summary>
    /// <exception cref="UserErrorException">The file is not a zip, is truncated or damaged, or is compressed.</exception>
    internal static Dictionary<string, (long Begin, long Count)> Read(MappedFile file)
    {
        (long begin, long bytes) = FindDirectory(file);
        if (begin < 0 || bytes < 0 || bytes > DirectoryBytesMax || begin > file.Length - bytes)
        {
            throw Damaged(file, $"its list of entries would take {bytes} bytes from byte {begin}");
        }

        var entries = new Dictionary<string, (long, long)>();
        ReadOnlySpan<byte> rest = file.Span(begin, (int)bytes);
        while (!rest.IsEmpty)
        {
            if (rest.Length < EntryBytes || U32(rest) != EntrySignature)
            {
                throw Damaged(file, $"entry {entries.Count} of its list is malformed");
            }

            int name = U16(rest[28..]), extra = U16(rest[30..]), comment = U16(rest[32..]);
            int total = EntryBytes + name + extra + comment;
            if (total > rest.Length)
            {
                throw Damaged(file, $"entry {entries.Count} of its list is malformed");
            }

            string text = Encoding.UTF8.GetString(rest.Slice(EntryBytes, name));
            if (!entries.TryAdd(text, Locate(file, rest[..total], text)))
            {
                throw Damaged(file, $"the entry {SafetensorsHeader.Quote(text)} is there twice");
            }

            rest = rest[total..];
        }

        return entries;
    }

    private static (long Begin, long Bytes) FindDirectory(MappedFile file)
    {
        int tailBytes = (int)Math.Min(file.Length, EndBytes + ushort.MaxValue);
        ReadOnlySpan<byte> tail = file.Span(file.Length - tailBytes, tailBytes);
        for (int i = tailBytes - EndBytes; i >= 0; i--)
        {
            if (U32(tail[i..]) != EndSignature || U16(tail[(i + 20)..]) != tailBytes - i - EndBytes)
            {
                continue;
            }

            long locator = file.Length - tailBytes + i - Locator64Bytes;
            if (locator >= 0 && U32(file.Span(locator, 4)) == Locator64Signature)
            {
                long end64 = I64(file.Span(locator + 8, 8));
                return end64 >= 0 && end64 <= file.Length - End64Bytes && U32(file.Span(end64, 4)) == End64Signature
                    ? (I64(file.Span(end64 + 48, 8)), I64(file.Span(end64 + 40, 8)))
                    : throw Damaged(file, "its Zip64 record is missing");
            }

            return (U32(tail[(i + 16)..]), U32(tail[(i + 12)..]));
        }

        bool zip = file.Length >= 4 && U32(file.Span(0, 4)) == LocalSignature;
        throw new UserErrorException(zip
            ? $"'{file.Path}' is truncated: its list of entries is missing; copy or download it again"
            : $"'{file.Path}' is not a file that torch.save writes since PyTorch 1.6 (a zip); save it again with a newer "
                + "PyTorch, or as safetensors");
    }

    private static (long Begin, long Count) Locate(MappedFile file, ReadOnlySpan<byte> entry, string name)
    {
        if ((U16(entry[8..]) & 1) != 0 || U16(entry[10..]) != 0)
        {
            throw new UserErrorException($"'{file.Path}': the entry {SafetensorsHeader.Quote(name)} is compressed or encrypted; "
                + "torch.save stores plainly");
        }

        long packed = U32(entry[20..]), count = U32(entry[24..]), local = U32(entry[42..]);
        ReadOnlySpan<byte> extra = entry.Slice(EntryBytes + U16(entry[28..]), U16(entry[30..]));
        ReadZip64(extra, ref count, ref packed, ref local);
        if (packed != count || local < 0 || local > file.Length - LocalBytes
            || U32(file.Span(local, 4)) != LocalSignature)
        {
            throw Damaged(file, $"the entry {SafetensorsHeader.Quote(name)} is malformed");
        }

        long begin = local + LocalBytes + U16(file.Span(local + 26, 2)) + U16(file.Span(local + 28, 2));
        return count >= 0 && begin <= file.Length && count <= file.Length - begin
            ? (begin, count)
            : throw Damaged(file, $"the entry {SafetensorsHeader.Quote(name)} would end at byte {(Int128)begin + count} of {file.Length}");
    }

    /// <summary>A Zip64 extra field (id 1) holds, in this order, only those values that are all ones elsewhere.</summary>
    private static void ReadZip64(ReadOnlySpan<byte> extra, ref long count, ref long packed, ref long local)
    {
        while (extra.Length >= 4)
        {
            int size = Math.Min(U16(extra[2..]), extra.Length - 4);
            if (U16(extra) == 1)
            {
                ReadOnlySpan<byte> values = extra.Slice(4, size);
                Take(ref values, ref count);
                Take(ref values, ref packed);
                Take(ref values, ref local);
                return;
            }

            extra = extra[(4 + size)..];
        }
    }

    private static void Take(ref ReadOnlySpan<byte> values, ref long field)
    {
        if (field == uint.MaxValue && values.Length >= 8)
        {
            field = I64(values);
            values = values[8..];
        }
    }

    private static ushort U16(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt16LittleEndian(bytes);

    private static uint U32(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt32LittleEndian(bytes);

    private static long I64(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadInt64LittleEndian(bytes);

    private static UserErrorException Damaged(MappedFile file, string what) =>
        new($"'{file.Path}' is damaged: {what}; copy or download it again");
}
