using System.Runtime.Intrinsics;

namespace LlavaSharp.Imaging;

/// <summary>The resize's loops for any machine: one tap at a time, in vectors of 32-bit sums.</summary>
internal readonly unsafe struct PortableKernel : IResampleKernel
{
    /// <inheritdoc/>
    public static void Horizontal(ResampleAxis axis, byte** rows, int* color, byte** output)
    {
        Vector128<int> canvas = Vector128.Load(color);
        for (int x = 0; x < axis.Count; x++)
        {
            ReadOnlySpan<int> weights = axis.Weights(x);
            Vector128<int> outside = Vector128.Create(ResampleAxis.Half) + (canvas * axis.Outside(x));
            for (int row = 0; row < 4; row++)
            {
                uint* pixel = (uint*)rows[row] + axis.First(x);
                Vector128<int> sum = outside;
                foreach (int weight in weights)
                {
                    Vector128<byte> four = Vector128.CreateScalar(*pixel++).AsByte();
                    sum += Vector128.WidenLower(Vector128.WidenLower(four)).AsInt32() * weight;
                }

                Vector128<int> clipped = Clip(sum);
                *(uint*)(output[row] + (x * 3)) = (uint)(clipped[0] | (clipped[1] << 8) | (clipped[2] << 16));
            }
        }
    }

    /// <inheritdoc/>
    public static void Vertical(byte** rows, int* weights, int count, byte* output, int bytes)
    {
        for (int at = 0; at < bytes; at += 16)
        {
            Vector128<int> a = Vector128.Create(ResampleAxis.Half), b = a, c = a, d = a;
            for (int tap = 0; tap < count; tap++)
            {
                (Vector128<ushort> low, Vector128<ushort> high) = Vector128.Widen(Vector128.Load(rows[tap] + at));
                int weight = weights[tap];
                a += Vector128.WidenLower(low).AsInt32() * weight;
                b += Vector128.WidenUpper(low).AsInt32() * weight;
                c += Vector128.WidenLower(high).AsInt32() * weight;
                d += Vector128.WidenUpper(high).AsInt32() * weight;
            }

            Vector128.Narrow(
                Vector128.Narrow(Clip(a).AsUInt32(), Clip(b).AsUInt32()),
                Vector128.Narrow(Clip(c).AsUInt32(), Clip(d).AsUInt32())).Store(output + at);
        }
    }

    private static Vector128<int> Clip(Vector128<int> sum) =>
        Vector128.Min(Vector128.Max(sum >> ResampleAxis.PrecisionBits, Vector128<int>.Zero), Vector128.Create(255));
}
