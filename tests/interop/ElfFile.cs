using System.Buffers.Binary;
using System.Text;

namespace LlavaSharp.Interop.Tests;

/// <summary>
/// The parts of a 64-bit little-endian ELF file that the tests look at (System V ABI, "Object Files"; LSB 3.0, "Symbol
/// Versioning").
/// </summary>
internal sealed class ElfFile
{
    private const int DynamicSymbols = 11;
    private const int VersionNeeds = 0x6ffffffe;
    private const ushort WeakVersion = 2; // VER_FLG_WEAK

    private readonly byte[] _bytes;

    public ElfFile(byte[] bytes)
    {
        _bytes = bytes;
        if (!bytes.AsSpan(0, 6).SequenceEqual((ReadOnlySpan<byte>)[0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1]))
        {
            throw new InvalidDataException("not a 64-bit little-endian ELF file");
        }
    }

    public byte[] Bytes => _bytes;

    /// <summary>Symbols that the file defines for others.</summary>
    public IEnumerable<string> Exports()
    {
        (long offset, long size, long strings) = Section(DynamicSymbols);
        for (long at = offset; at < offset + size; at += 24)
        {
            bool isLocal = _bytes[at + 4] >> 4 == 0;
            bool isDefined = U16(at + 6) != 0;
            if (isDefined && !isLocal)
            {
                yield return Text(strings + U32(at));
            }
        }
    }

    /// <summary>Versions that the file asks of other libraries, each with the offset of its record.</summary>
    public IEnumerable<(string Name, long Record)> NeededVersions()
    {
        (long need, _, long strings) = Section(VersionNeeds);
        while (true)
        {
            long entry = need + U32(need + 8);
            for (int left = U16(need + 2); left > 0; left--)
            {
                yield return (Text(strings + U32(entry + 8)), entry);
                entry += U32(entry + 12);
            }
            uint next = U32(need + 12);
            if (next == 0)
            {
                yield break;
            }
            need += next;
        }
    }

    /// <summary>Marks a needed version as weak: the loader then goes on without it.</summary>
    public void MakeWeak(long record)
    {
        Span<byte> flags = _bytes.AsSpan((int)record + 4, 2);
        BinaryPrimitives.WriteUInt16LittleEndian(flags, (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(flags) | WeakVersion));
    }

    private (long Offset, long Size, long Strings) Section(int type)
    {
        long table = I64(0x28);
        int entrySize = U16(0x3a), count = U16(0x3c);
        for (int index = 0; index < count; index++)
        {
            long header = table + (index * entrySize);
            if (U32(header + 4) == type)
            {
                long strings = table + (U32(header + 0x28) * entrySize);
                return (I64(header + 0x18), I64(header + 0x20), I64(strings + 0x18));
            }
        }
        throw new InvalidDataException($"the file has no section of type {type:x}");
    }

    private ushort U16(long at) => BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan((int)at));

    private uint U32(long at) => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan((int)at));

    private long I64(long at) => BinaryPrimitives.ReadInt64LittleEndian(_bytes.AsSpan((int)at));

    private string Text(long at)
    {
        ReadOnlySpan<byte> rest = _bytes.AsSpan((int)at);
        return Encoding.UTF8.GetString(rest[..rest.IndexOf((byte)0)]);
    }
}
