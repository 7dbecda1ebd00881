using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LlavaSharp.Interop;

/// <summary>A tensor's bytes: a run of memory like a span, but as long as tensors are. An embedding of 131,072 × 5,120 floats has
/// 2.7 GB, and spans end at 2 GiB. It is read in slices.</summary>
public readonly ref struct LongBytes
{
    // What is written to a stream at once.
    private const int Piece = 1 << 24;

    private readonly ref readonly byte _first;

    private LongBytes(ref readonly byte first, long length)
    {
        _first = ref first;
        Length = length;
    }

    /// <summary>Number of bytes.</summary>
    public long Length { get; }

    /// <summary>The bytes of a span.</summary>
    /// <param name="bytes">The span; the result is valid as long as it is.</param>
    public static LongBytes Of(ReadOnlySpan<byte> bytes) => new(in MemoryMarshal.GetReference(bytes), bytes.Length);

    /// <summary>The bytes of floats, as they lie in memory.</summary>
    /// <param name="values">The floats; the result is valid as long as they are.</param>
    public static LongBytes Of(ReadOnlySpan<float> values) =>
        new(in Unsafe.As<float, byte>(ref MemoryMarshal.GetReference(values)), sizeof(float) * (long)values.Length);

    /// <summary>The bytes at an address.</summary>
    /// <param name="first">The first; memory that is not moved, such as a mapped file's.</param>
    /// <param name="length">How many.</param>
    public static unsafe LongBytes At(byte* first, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        return new(in *first, length);
    }

    /// <summary>A part that fits a span.</summary>
    /// <param name="begin">Where it begins.</param>
    /// <param name="count">How many bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside.</exception>
    public ReadOnlySpan<byte> Slice(long begin, int count) => begin >= 0 && count >= 0 && begin <= Length - count
        ? MemoryMarshal.CreateReadOnlySpan(in Unsafe.AddByteOffset(ref Unsafe.AsRef(in _first), (nint)begin), count)
        : throw new ArgumentOutOfRangeException(nameof(begin), begin, $"{count} bytes from there are not inside {Length}");

    /// <summary>Writes all bytes.</summary>
    /// <param name="stream">Receives them.</param>
    public void WriteTo(Stream stream)
    {
        for (long at = 0; at < Length; at += Piece)
        {
            stream.Write(Slice(at, (int)Math.Min(Piece, Length - at)));
        }
    }

    /// <summary>A copy of a short run.</summary>
    /// <exception cref="OverflowException">It has more bytes than an array.</exception>
    public byte[] ToArray() => Slice(0, checked((int)Length)).ToArray();

    /// <summary>Lets <c>fixed</c> take the address of the first byte.</summary>
    public ref readonly byte GetPinnableReference() => ref _first;
}
