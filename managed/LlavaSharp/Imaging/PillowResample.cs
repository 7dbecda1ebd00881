using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LlavaSharp.Imaging;

/// <summary>
/// Pillow's 8-bit resize, byte for byte: a horizontal then a vertical pass, each with an antialiasing filter
/// in 22-bit fixed point, rounded and clipped to bytes between them; a pass whose size does not change is
/// skipped. Checked against Pillow's own results in the parity cases.
/// </summary>
public static class PillowResample
{
    private const int Half = 1 << (ResampleAxis.PrecisionBits - 1);

    /// <summary>What <c>Image.resize((width, height), Image.BICUBIC)</c> gives for an RGB image.</summary>
    /// <param name="source">Any size.</param>
    /// <param name="width">Columns wanted, at least 1.</param>
    /// <param name="height">Rows wanted, at least 1.</param>
    /// <returns>A new image.</returns>
    public static RgbImage Bicubic(RgbImage source, int width, int height)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        byte[] result = new byte[checked(width * height * 3)];
        ResampleJob job = new()
        {
            Canvas = (source.Width, source.Height),
            Target = (width, height),
            Window = (0, 0, width, height),
        };
        Run(source, job, result);
        return new RgbImage(width, height, result);
    }

    /// <summary>Computes a job's window.</summary>
    /// <param name="source">The picture on the canvas.</param>
    /// <param name="job">What to do.</param>
    /// <param name="destination">[window rows, window columns, 3].</param>
    internal static void Run(RgbImage source, in ResampleJob job, Span<byte> destination)
    {
        int stride = job.Window.Width * 3;
        ResampleAxis? vertical = job.Target.Height == job.Canvas.Height ? null : ResampleAxis.Bicubic(
            job.Canvas.Height, job.Target.Height, job.Window.Top, job.Window.Height, job.Origin.Top, source.Height);
        int begin = vertical?.SourceBegin ?? Math.Clamp(job.Window.Top - job.Origin.Top, 0, source.Height);
        int end = vertical?.SourceEnd
            ?? Math.Clamp(job.Window.Top + job.Window.Height - job.Origin.Top, begin, source.Height);

        // One spare byte after the rows: a pixel is stored as four bytes, the fourth overwritten by the next.
        byte[] rows = ArrayPool<byte>.Shared.Rent(checked((end - begin + 1) * stride) + 1);
        try
        {
            Span<byte> background = rows.AsSpan(0, stride + 1);
            Span<byte> narrowed = rows.AsSpan(stride, ((end - begin) * stride) + 1);
            Horizontal(source, job, begin, end, narrowed, background);
            if (vertical is null)
            {
                Paste(narrowed, background[..stride], begin, end, job, destination);
            }
            else
            {
                Vertical(vertical, narrowed, background[..stride], begin, job.Window.Height, destination);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rows);
        }
    }

    /// <summary>Source rows [begin, end) and a row of bare canvas through the horizontal pass.</summary>
    private static void Horizontal(
        RgbImage source, in ResampleJob job, int begin, int end, Span<byte> narrowed, Span<byte> background)
    {
        int stride = job.Window.Width * 3;
        Fill(background[..stride], job.Background);
        if (job.Target.Width == job.Canvas.Width)
        {
            int left = Math.Clamp(job.Origin.Left - job.Window.Left, 0, job.Window.Width);
            int from = Math.Clamp(job.Window.Left - job.Origin.Left, 0, source.Width);
            int count = Math.Min(source.Width - from, job.Window.Width - left);
            for (int y = begin; y < end; y++)
            {
                Span<byte> row = narrowed.Slice((y - begin) * stride, stride);
                background[..stride].CopyTo(row);
                source.Pixels.Slice(((y * source.Width) + from) * 3, count * 3).CopyTo(row[(left * 3)..]);
            }

            return;
        }

        ResampleAxis axis = ResampleAxis.Bicubic(
            job.Canvas.Width, job.Target.Width, job.Window.Left, job.Window.Width, job.Origin.Left, source.Width);
        Vector128<int> color = Vector128.Create(job.Background.Red, job.Background.Green, job.Background.Blue, 0);
        int bytes = source.Width * 3;
        byte[] padded = ArrayPool<byte>.Shared.Rent(bytes + 1); // the last pixel is read as four bytes too
        try
        {
            for (int y = begin; y < end; y++)
            {
                source.Pixels.Slice(y * bytes, bytes).CopyTo(padded);
                HorizontalRow(axis, padded, color, narrowed.Slice((y - begin) * stride, stride + 1));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(padded);
        }

        BareRow(axis, job, background);
    }

    private static void HorizontalRow(ResampleAxis axis, byte[] row, Vector128<int> color, Span<byte> output)
    {
        int width = output.Length / 3;
        for (int x = 0; x < width; x++)
        {
            ReadOnlySpan<int> weights = axis.Weights(x);
            Vector128<int> sum = Vector128.Create(Half) + (color * axis.Outside(x));
            ref byte pixel = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(row), axis.First(x) * 3);
            foreach (int weight in weights)
            {
                uint four = Unsafe.ReadUnaligned<uint>(ref pixel);
                Vector128<uint> channels = Vector128.WidenLower(
                    Vector128.WidenLower(Vector128.CreateScalar(four).AsByte()));
                sum += channels.AsInt32() * weight;
                pixel = ref Unsafe.Add(ref pixel, 3);
            }

            Vector128<int> clipped = Clip(sum);
            uint packed = (uint)(clipped[0] | (clipped[1] << 8) | (clipped[2] << 16));
            BinaryPrimitives.WriteUInt32LittleEndian(output[(x * 3)..], packed);
        }
    }

    // Rounded weights need not sum to one exactly, so bare canvas is filtered as well, not assumed constant.
    private static void BareRow(ResampleAxis axis, in ResampleJob job, Span<byte> background)
    {
        Vector128<int> color = Vector128.Create(job.Background.Red, job.Background.Green, job.Background.Blue, 0);
        for (int x = 0; x < job.Window.Width; x++)
        {
            int total = axis.Outside(x);
            foreach (int weight in axis.Weights(x))
            {
                total += weight;
            }

            Vector128<int> clipped = Clip(Vector128.Create(Half) + (color * total));
            for (int channel = 0; channel < 3; channel++)
            {
                background[(x * 3) + channel] = (byte)clipped[channel];
            }
        }
    }

    private static void Vertical(
        ResampleAxis axis, ReadOnlySpan<byte> rows, ReadOnlySpan<byte> background, int begin, int height, Span<byte> output)
    {
        int stride = background.Length;
        for (int y = 0; y < height; y++)
        {
            ReadOnlySpan<int> weights = axis.Weights(y);
            ReadOnlySpan<byte> tall = weights.IsEmpty ? [] : rows[((axis.First(y) - begin) * stride)..];
            VerticalRow(weights, axis.Outside(y), tall, background, output.Slice(y * stride, stride));
        }
    }

    private static void VerticalRow(
        ReadOnlySpan<int> weights, int outside, ReadOnlySpan<byte> rows, ReadOnlySpan<byte> background, Span<byte> output)
    {
        int stride = output.Length;
        int at = 0;
        for (; at + 16 <= stride; at += 16)
        {
            (Vector256<int> low, Vector256<int> high) = Widen(background[at..]);
            low = (low * outside) + Vector256.Create(Half);
            high = (high * outside) + Vector256.Create(Half);
            for (int tap = 0; tap < weights.Length; tap++)
            {
                (Vector256<int> a, Vector256<int> b) = Widen(rows[((tap * stride) + at)..]);
                low += a * weights[tap];
                high += b * weights[tap];
            }

            Vector256<ushort> words = Vector256.Narrow(Clip(low).AsUInt32(), Clip(high).AsUInt32());
            Vector128.Narrow(words.GetLower(), words.GetUpper()).CopyTo(output[at..]);
        }

        for (; at < stride; at++)
        {
            int sum = Half + (outside * background[at]);
            for (int tap = 0; tap < weights.Length; tap++)
            {
                sum += weights[tap] * rows[(tap * stride) + at];
            }

            output[at] = (byte)Math.Clamp(sum >> ResampleAxis.PrecisionBits, 0, 255);
        }
    }

    private static void Paste(
        ReadOnlySpan<byte> rows, ReadOnlySpan<byte> background, int begin, int end, in ResampleJob job, Span<byte> output)
    {
        int stride = background.Length;
        for (int y = 0; y < job.Window.Height; y++)
        {
            int row = y + job.Window.Top - job.Origin.Top;
            ReadOnlySpan<byte> line = row >= begin && row < end ? rows.Slice((row - begin) * stride, stride) : background;
            line.CopyTo(output.Slice(y * stride, stride));
        }
    }

    private static void Fill(Span<byte> row, (byte Red, byte Green, byte Blue) color)
    {
        for (int at = 0; at < row.Length; at += 3)
        {
            row[at] = color.Red;
            row[at + 1] = color.Green;
            row[at + 2] = color.Blue;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector256<int> Low, Vector256<int> High) Widen(ReadOnlySpan<byte> bytes)
    {
        Vector128<byte> sixteen = Vector128.Create(bytes);
        (Vector128<ushort> a, Vector128<ushort> b) = Vector128.Widen(sixteen);
        (Vector128<uint> a0, Vector128<uint> a1) = Vector128.Widen(a);
        (Vector128<uint> b0, Vector128<uint> b1) = Vector128.Widen(b);
        return (Vector256.Create(a0, a1).AsInt32(), Vector256.Create(b0, b1).AsInt32());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Clip(Vector128<int> sum) =>
        Vector128.Min(Vector128.Max(sum >> ResampleAxis.PrecisionBits, Vector128<int>.Zero), Vector128.Create(255));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Clip(Vector256<int> sum) =>
        Vector256.Min(Vector256.Max(sum >> ResampleAxis.PrecisionBits, Vector256<int>.Zero), Vector256.Create(255));
}
