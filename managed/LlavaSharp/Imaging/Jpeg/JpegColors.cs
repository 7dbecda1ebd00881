using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlavaSharp.Imaging.Jpeg;

/// <summary>
/// Planes of luma and chroma become pixels: chroma is widened with the reference implementation's triangle filter (three
/// parts of the nearer sample, one of the further), then turned into red, green, blue with its 16-bit constants (JFIF 1.02).
/// </summary>
internal static unsafe class JpegColors
{
    /// <summary>Samples that must be readable before and after a row of chroma.</summary>
    public const int Margin = 16;

    /// <summary>Rows are written up to a multiple of this many samples.</summary>
    public const int Lane = 16;

    /// <summary>Two rows of chroma as one, three parts to one.</summary>
    /// <param name="near">The nearer row.</param>
    /// <param name="far">The further row.</param>
    /// <param name="count">Samples.</param>
    /// <param name="sums">Written: [count], and one copy of the first before and of the last after it.</param>
    public static void Mix(byte* near, byte* far, int count, short* sums)
    {
        for (int x = 0; x < count; x += Lane)
        {
            Vector256<short> a = Avx2.ConvertToVector256Int16(near + x), b = Avx2.ConvertToVector256Int16(far + x);
            (a + a + a + b).Store(sums + x);
        }

        (sums[-1], sums[count]) = (sums[0], sums[count - 1]);
    }

    /// <summary>One row of chroma, as <see cref="Mix"/> leaves two.</summary>
    public static void Widen(byte* row, int count, short* sums)
    {
        for (int x = 0; x < count; x += Lane)
        {
            Avx2.ConvertToVector256Int16(row + x).Store(sums + x);
        }

        (sums[-1], sums[count]) = (sums[0], sums[count - 1]);
    }

    /// <summary>Doubles the columns.</summary>
    /// <param name="sums">[count], with one more on each side.</param>
    /// <param name="count">Samples.</param>
    /// <param name="bits">What is rounded off: 2 for one row, 4 for two.</param>
    /// <param name="output">[2 · count], up to a multiple of 32.</param>
    public static void Double(short* sums, int count, int bits, byte* output)
    {
        // The left one of a pair rounds up at one half, the right one down, or the other way round: a dither.
        Vector256<short> left = Vector256.Create((short)(bits == 4 ? 8 : 1)), right = Vector256.Create((short)(bits == 4 ? 7 : 2));
        for (int x = 0; x < count; x += Lane)
        {
            Vector256<short> three = Vector256.Load(sums + x);
            three = three + three + three;
            Vector256<short> even = (three + Vector256.Load(sums + x - 1) + left) >>> bits;
            Vector256<short> odd = (three + Vector256.Load(sums + x + 1) + right) >>> bits;
            (even | (odd << 8)).AsByte().Store(output + (2 * x));
        }
    }

    /// <summary>A row of pixels.</summary>
    /// <param name="luma">[count].</param>
    /// <param name="blue">[count] Cb.</param>
    /// <param name="red">[count] Cr.</param>
    /// <param name="count">Pixels.</param>
    /// <param name="output">[count, 4], written up to a multiple of <see cref="Lane"/>.</param>
    public static void Convert(byte* luma, byte* blue, byte* red, int count, byte* output)
    {
        Vector256<short> center = Vector256.Create((short)128);
        for (int x = 0; x < count; x += Lane)
        {
            Vector256<short> y = Avx2.ConvertToVector256Int16(luma + x);
            Vector256<short> cb = Avx2.ConvertToVector256Int16(blue + x) - center;
            Vector256<short> cr = Avx2.ConvertToVector256Int16(red + x) - center;

            // 1.402 = 1 + 26345/65536; 1.772 = 2 - 14942/65536; 0.34414 = 22554/65536; 0.71414 = 1 - 18734/65536.
            Vector256<short> two = Vector256.Create((short)2);
            Vector256<short> r = y + cr + Scaled(cr, two, 26345, 16384);
            Vector256<short> b = y + cb + cb + Scaled(cb, two, -14942, 16384);
            Vector256<short> g = y - cr + Scaled(cb, cr, -22554, 18734, 32768);
            Pixels(r, g, b, output + (4 * x));
        }
    }

    /// <summary>A row of grey pixels.</summary>
    public static void Grey(byte* luma, int count, byte* output)
    {
        for (int x = 0; x < count; x += Lane)
        {
            Vector256<short> y = Avx2.ConvertToVector256Int16(luma + x);
            Pixels(y, y, y, output + (4 * x));
        }
    }

    // (a · first + b · second + half) / 65536, rounded down, in 32 bits.
    private static Vector256<short> Scaled(Vector256<short> a, Vector256<short> b, short first, short second, int half = 0)
    {
        Vector256<short> weights = Vector256.Create((ushort)first | ((uint)(ushort)second << 16)).AsInt16();
        Vector256<int> add = Vector256.Create(half);
        Vector256<int> low = (Avx2.MultiplyAddAdjacent(Avx2.UnpackLow(a, b), weights) + add) >> 16;
        Vector256<int> high = (Avx2.MultiplyAddAdjacent(Avx2.UnpackHigh(a, b), weights) + add) >> 16;
        return Avx2.PackSignedSaturate(low, high);
    }

    private static void Pixels(Vector256<short> r, Vector256<short> g, Vector256<short> b, byte* output)
    {
        Vector256<byte> rg = Avx2.PackUnsignedSaturate(r, g); // per half: eight reds, eight greens
        Vector256<byte> ba = Avx2.PackUnsignedSaturate(b, Vector256.Create((short)255));
        Vector256<ushort> pairs = Avx2.UnpackLow(rg, Avx2.ShiftRightLogical128BitLane(rg, 8)).AsUInt16();
        Vector256<ushort> others = Avx2.UnpackLow(ba, Avx2.ShiftRightLogical128BitLane(ba, 8)).AsUInt16();
        Vector256<byte> first = Avx2.UnpackLow(pairs, others).AsByte(); // pixels 0 … 3, 8 … 11
        Vector256<byte> second = Avx2.UnpackHigh(pairs, others).AsByte();
        Avx2.Permute2x128(first, second, 0x20).Store(output);
        Avx2.Permute2x128(first, second, 0x31).Store(output + 32);
    }
}
