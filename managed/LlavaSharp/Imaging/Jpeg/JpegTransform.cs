using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlavaSharp.Imaging.Jpeg;

/// <summary>
/// The inverse cosine transform of a block, in the whole numbers that the reference implementation computes with: Loeffler,
/// Ligtenberg and Moschytz's eleven-product form (ICASSP 1989), constants of 13 bits, two extra bits kept between columns
/// and rows. Any other arithmetic gives other pixels.
/// </summary>
internal static unsafe class JpegTransform
{
    private const int ConstantBits = 13;
    private const int ExtraBits = 2;

    /// <summary>Whether this machine has what it needs.</summary>
    public static bool IsSupported => Avx2.IsSupported;

    /// <summary>Transforms a block.</summary>
    /// <param name="block">[8, 8] coefficients.</param>
    /// <param name="quantiser">[8, 8].</param>
    /// <param name="output">Where the first of eight rows of eight bytes goes.</param>
    /// <param name="pitch">Bytes from row to row.</param>
    public static void Block(short* block, int* quantiser, byte* output, int pitch)
    {
        Vector256<int> r0 = Load(block, quantiser, 0), r1 = Load(block, quantiser, 1);
        Vector256<int> r2 = Load(block, quantiser, 2), r3 = Load(block, quantiser, 3);
        Vector256<int> r4 = Load(block, quantiser, 4), r5 = Load(block, quantiser, 5);
        Vector256<int> r6 = Load(block, quantiser, 6), r7 = Load(block, quantiser, 7);
        Pass(ref r0, ref r1, ref r2, ref r3, ref r4, ref r5, ref r6, ref r7, ConstantBits - ExtraBits, 0);
        Transpose(ref r0, ref r1, ref r2, ref r3, ref r4, ref r5, ref r6, ref r7);
        Pass(ref r0, ref r1, ref r2, ref r3, ref r4, ref r5, ref r6, ref r7, ConstantBits + ExtraBits + 3, 128);
        Transpose(ref r0, ref r1, ref r2, ref r3, ref r4, ref r5, ref r6, ref r7);
        Store(r0, r1, r2, r3, output, pitch);
        Store(r4, r5, r6, r7, output + (4 * pitch), pitch);
    }

    /// <summary>The same for a block of which only the mean is there.</summary>
    public static void Flat(int mean, byte* output, int pitch)
    {
        const int Bits = ExtraBits + 3;
        int value = (((mean << ExtraBits) + (1 << (Bits - 1))) >> Bits) + 128;
        ulong eight = (ulong)Math.Clamp(value, 0, 255) * 0x0101010101010101;
        for (int row = 0; row < 8; row++)
        {
            *(ulong*)(output + (row * pitch)) = eight;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Load(short* block, int* quantiser, int row) =>
        Avx2.ConvertToVector256Int32(Vector128.Load(block + (8 * row))) * Vector256.Load(quantiser + (8 * row));

    // One dimension of eight columns at once; the last bits are rounded off.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Pass(
        ref Vector256<int> r0,
        ref Vector256<int> r1,
        ref Vector256<int> r2,
        ref Vector256<int> r3,
        ref Vector256<int> r4,
        ref Vector256<int> r5,
        ref Vector256<int> r6,
        ref Vector256<int> r7,
        int bits,
        int center)
    {
        Vector256<int> even = (r2 + r6) * 4433;
        Vector256<int> e2 = even - (r6 * 15137);
        Vector256<int> e3 = even + (r2 * 6270);
        Vector256<int> round = Vector256.Create((1 << (bits - 1)) + (center << bits));
        Vector256<int> e0 = ((r0 + r4) << ConstantBits) + round;
        Vector256<int> e1 = ((r0 - r4) << ConstantBits) + round;
        Vector256<int> a0 = e0 + e3, a3 = e0 - e3, a1 = e1 + e2, a2 = e1 - e2;

        Vector256<int> z1 = (r7 + r1) * -7373;
        Vector256<int> z2 = (r5 + r3) * -20995;
        Vector256<int> z3 = r7 + r3;
        Vector256<int> z4 = r5 + r1;
        Vector256<int> z5 = (z3 + z4) * 9633;
        z3 = (z3 * -16069) + z5;
        z4 = (z4 * -3196) + z5;
        Vector256<int> b0 = (r7 * 2446) + z1 + z3;
        Vector256<int> b1 = (r5 * 16819) + z2 + z4;
        Vector256<int> b2 = (r3 * 25172) + z2 + z3;
        Vector256<int> b3 = (r1 * 12299) + z1 + z4;
        (r0, r7) = ((a0 + b3) >> bits, (a0 - b3) >> bits);
        (r1, r6) = ((a1 + b2) >> bits, (a1 - b2) >> bits);
        (r2, r5) = ((a2 + b1) >> bits, (a2 - b1) >> bits);
        (r3, r4) = ((a3 + b0) >> bits, (a3 - b0) >> bits);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose(
        ref Vector256<int> r0,
        ref Vector256<int> r1,
        ref Vector256<int> r2,
        ref Vector256<int> r3,
        ref Vector256<int> r4,
        ref Vector256<int> r5,
        ref Vector256<int> r6,
        ref Vector256<int> r7)
    {
        Vector256<long> a0 = Avx2.UnpackLow(r0, r1).AsInt64(), a1 = Avx2.UnpackHigh(r0, r1).AsInt64();
        Vector256<long> a2 = Avx2.UnpackLow(r2, r3).AsInt64(), a3 = Avx2.UnpackHigh(r2, r3).AsInt64();
        Vector256<long> a4 = Avx2.UnpackLow(r4, r5).AsInt64(), a5 = Avx2.UnpackHigh(r4, r5).AsInt64();
        Vector256<long> a6 = Avx2.UnpackLow(r6, r7).AsInt64(), a7 = Avx2.UnpackHigh(r6, r7).AsInt64();
        Vector256<int> b0 = Avx2.UnpackLow(a0, a2).AsInt32(), b1 = Avx2.UnpackHigh(a0, a2).AsInt32();
        Vector256<int> b2 = Avx2.UnpackLow(a1, a3).AsInt32(), b3 = Avx2.UnpackHigh(a1, a3).AsInt32();
        Vector256<int> b4 = Avx2.UnpackLow(a4, a6).AsInt32(), b5 = Avx2.UnpackHigh(a4, a6).AsInt32();
        Vector256<int> b6 = Avx2.UnpackLow(a5, a7).AsInt32(), b7 = Avx2.UnpackHigh(a5, a7).AsInt32();
        (r0, r4) = (Avx2.Permute2x128(b0, b4, 0x20), Avx2.Permute2x128(b0, b4, 0x31));
        (r1, r5) = (Avx2.Permute2x128(b1, b5, 0x20), Avx2.Permute2x128(b1, b5, 0x31));
        (r2, r6) = (Avx2.Permute2x128(b2, b6, 0x20), Avx2.Permute2x128(b2, b6, 0x31));
        (r3, r7) = (Avx2.Permute2x128(b3, b7, 0x20), Avx2.Permute2x128(b3, b7, 0x31));
    }

    // Four rows of eight, clipped to bytes.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d, byte* output, int pitch)
    {
        Vector256<byte> bytes = Avx2.PackUnsignedSaturate(Avx2.PackSignedSaturate(a, b), Avx2.PackSignedSaturate(c, d));
        Vector256<ulong> rows = Avx2.PermuteVar8x32(bytes.AsInt32(), Vector256.Create(0, 4, 1, 5, 2, 6, 3, 7)).AsUInt64();
        *(ulong*)output = rows[0];
        *(ulong*)(output + pitch) = rows[1];
        *(ulong*)(output + (2 * pitch)) = rows[2];
        *(ulong*)(output + (3 * pitch)) = rows[3];
    }
}
