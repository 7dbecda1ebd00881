using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlavaSharp.Imaging;

/// <summary>
/// The resize's loops on AVX2. A weight has 24 bits and the machine multiplies 16: it is cut into its low 12 bits and
/// the rest, each half is summed with multiply-and-add-pairs, and the two sums meet at the end. Nothing is lost.
/// </summary>
internal readonly unsafe struct Avx2Kernel : IResampleKernel
{
    // Four pixels RGBA RGBA RGBA RGBA → RRRR GGGG BBBB AAAA.
    private static readonly Vector128<byte> Planes =
        Vector128.Create((byte)0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);

    /// <summary>Whether this machine has what it needs.</summary>
    public static bool IsSupported => Avx2.IsSupported;

    /// <inheritdoc/>
    public static void Horizontal(ResampleAxis axis, byte** rows, int* color, byte** output)
    {
        // A sum of red and green stands in the lower half of a vector, of blue in the upper; two rows beside each other.
        Vector256<int> canvas = Vector256.Create(color[0], color[1], color[0], color[1], color[2], 0, color[2], 0);
        Vector128<byte> planes = Planes;
        byte* r0 = rows[0], r1 = rows[1], r2 = rows[2], r3 = rows[3];
        byte* o0 = output[0], o1 = output[1], o2 = output[2], o3 = output[3];
        fixed (ulong* packed = axis.Packed)
        {
            for (int x = 0; x < axis.Count; x++)
            {
                ulong* weights = packed + axis.PackedStart(x);
                ulong* end = packed + axis.PackedStart(x + 1);
                long at = axis.First(x) * 4L;
                Vector256<int> l0 = default, l1 = default, l2 = default, l3 = default;
                Vector256<int> h0 = default, h1 = default, h2 = default, h3 = default;
                for (; weights < end; weights += 2, at += 16)
                {
                    Vector256<short> low = Vector256.Create(weights[0]).AsInt16();
                    Vector256<short> high = Vector256.Create(weights[1]).AsInt16();
                    Add(r0 + at, planes, low, high, ref l0, ref h0);
                    Add(r1 + at, planes, low, high, ref l1, ref h1);
                    Add(r2 + at, planes, low, high, ref l2, ref h2);
                    Add(r3 + at, planes, low, high, ref l3, ref h3);
                }

                Vector256<int> bias = Vector256.Create(ResampleAxis.Half) + (canvas * axis.Outside(x));
                Vector256<int> first = bias + Avx2.HorizontalAdd(Join(l0, h0), Join(l1, h1));
                Vector256<int> second = bias + Avx2.HorizontalAdd(Join(l2, h2), Join(l3, h3));
                Vector256<short> words = Avx2.PackSignedSaturate(
                    first >> ResampleAxis.PrecisionBits, second >> ResampleAxis.PrecisionBits);
                Vector256<byte> bytes = Avx2.PackUnsignedSaturate(words, words);
                Vector128<uint> pixels =
                    Sse2.UnpackLow(bytes.GetLower().AsUInt16(), bytes.GetUpper().AsUInt16()).AsUInt32();
                *(uint*)(o0 + (x * 3)) = pixels[0];
                *(uint*)(o1 + (x * 3)) = pixels[1];
                *(uint*)(o2 + (x * 3)) = pixels[2];
                *(uint*)(o3 + (x * 3)) = pixels[3];
            }
        }
    }

    /// <inheritdoc/>
    public static void Vertical(byte** rows, int* weights, int count, byte* output, int bytes)
    {
        // Two rows side by side make pairs of bytes, widened to pairs of words; packing undoes the order that this leaves.
        for (int at = 0; at < bytes; at += IResampleKernel.Lane)
        {
            Vector256<int> l0 = default, l1 = default, l2 = default, l3 = default;
            Vector256<int> h0 = default, h1 = default, h2 = default, h3 = default;
            for (int tap = 0; tap < count; tap += 2)
            {
                bool paired = tap + 1 < count;
                int second = paired ? weights[tap + 1] : 0;
                Vector256<byte> top = Vector256.Load(rows[tap] + at);
                Vector256<byte> bottom = Vector256.Load(rows[paired ? tap + 1 : tap] + at);
                Vector256<short> low = Vector256.Create(Pair(Low(weights[tap]), Low(second))).AsInt16();
                Vector256<short> high = Vector256.Create(Pair(High(weights[tap]), High(second))).AsInt16();
                Vector256<byte> left = Avx2.UnpackLow(top, bottom), right = Avx2.UnpackHigh(top, bottom);
                Add(Avx2.UnpackLow(left, Vector256<byte>.Zero).AsInt16(), low, high, ref l0, ref h0);
                Add(Avx2.UnpackHigh(left, Vector256<byte>.Zero).AsInt16(), low, high, ref l1, ref h1);
                Add(Avx2.UnpackLow(right, Vector256<byte>.Zero).AsInt16(), low, high, ref l2, ref h2);
                Add(Avx2.UnpackHigh(right, Vector256<byte>.Zero).AsInt16(), low, high, ref l3, ref h3);
            }

            Avx2.PackUnsignedSaturate(
                Avx2.PackSignedSaturate(Round(l0, h0), Round(l1, h1)),
                Avx2.PackSignedSaturate(Round(l2, h2), Round(l3, h3))).Store(output + at);
        }
    }

    /// <summary>The low part of a weight, 0 … 4095.</summary>
    internal static int Low(int weight) => weight & 0xFFF;

    /// <summary>The high part of a weight: the weight is 4096 times this, plus the low part.</summary>
    internal static int High(int weight) => weight >> 12;

    private static int Pair(int first, int second) => (first & 0xFFFF) | (second << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(
        byte* pixels, Vector128<byte> planes, Vector256<short> low, Vector256<short> high, ref Vector256<int> l, ref Vector256<int> h) =>
        Add(Avx2.ConvertToVector256Int16(Ssse3.Shuffle(Vector128.Load(pixels), planes)), low, high, ref l, ref h);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(
        Vector256<short> pixels, Vector256<short> low, Vector256<short> high, ref Vector256<int> l, ref Vector256<int> h)
    {
        l += Avx2.MultiplyAddAdjacent(pixels, low);
        h += Avx2.MultiplyAddAdjacent(pixels, high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Join(Vector256<int> low, Vector256<int> high) => low + (high << 12);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Round(Vector256<int> low, Vector256<int> high) =>
        (Join(low, high) + Vector256.Create(ResampleAxis.Half)) >> ResampleAxis.PrecisionBits;
}
