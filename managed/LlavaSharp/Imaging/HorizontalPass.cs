using System.Buffers;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LlavaSharp.Imaging;

/// <summary>The first pass of a resize: source rows, four at a time, become rows of the window's width, three bytes a pixel.</summary>
internal static class HorizontalPass
{
    /// <summary>Filters source rows [begin, end) and a row of bare canvas.</summary>
    /// <typeparam name="TKernel">The inner loops.</typeparam>
    /// <param name="source">The picture.</param>
    /// <param name="job">What to do.</param>
    /// <param name="begin">First row.</param>
    /// <param name="end">One past the last.</param>
    /// <param name="narrowed">[end - begin, pitch], written.</param>
    /// <param name="background">[pitch], written: what a row that is all canvas becomes.</param>
    public static void Run<TKernel>(
        in PixelRows source, in ResampleJob job, int begin, int end, Span<byte> narrowed, Span<byte> background)
        where TKernel : struct, IResampleKernel
    {
        background.Clear();
        if (job.Target.Width == job.Canvas.Width)
        {
            CopyRows(source, job, begin, end, narrowed, background);
            return;
        }

        ResampleAxis axis = ResampleAxis.Bicubic(
            job.Canvas.Width, job.Target.Width, job.Window.Left, job.Window.Width, job.Origin.Left, source.Width);
        (byte red, byte green, byte blue) = job.Background;
        ReadOnlySpan<int> color = [red, green, blue, 0];
        if (source.Depth == 4)
        {
            Filter<TKernel>(axis, source.Pixels[(begin * source.Pitch)..], source.Pitch, color, narrowed, background.Length);
        }
        else
        {
            FilterWidened<TKernel>(axis, source, begin, color, narrowed, background.Length);
        }

        BareRow(axis, color, background);
    }

    private static unsafe void Filter<TKernel>(
        ResampleAxis axis, ReadOnlySpan<byte> source, int sourcePitch, ReadOnlySpan<int> color, Span<byte> narrowed, int pitch)
        where TKernel : struct, IResampleKernel
    {
        int count = narrowed.Length / pitch;
        byte** rows = stackalloc byte*[4];
        byte** outputs = stackalloc byte*[4];
        fixed (byte* input = source)
        fixed (byte* output = narrowed)
        fixed (int* canvas = color)
        {
            for (int y = 0; y < count; y += 4)
            {
                for (int i = 0; i < 4; i++)
                {
                    // The last rows stand in for those that are not there.
                    int row = Math.Min(y + i, count - 1);
                    rows[i] = input + ((long)row * sourcePitch);
                    outputs[i] = output + ((long)row * pitch);
                }

                TKernel.Horizontal(axis, rows, canvas, outputs);
            }
        }
    }

    private static void FilterWidened<TKernel>(
        ResampleAxis axis, in PixelRows source, int begin, ReadOnlySpan<int> color, Span<byte> narrowed, int pitch)
        where TKernel : struct, IResampleKernel
    {
        int wide = source.Width * 4;
        int count = narrowed.Length / pitch;
        byte[] four = ArrayPool<byte>.Shared.Rent((4 * wide) + PixelRows.Slack);
        for (int y = 0; y < count; y += 4)
        {
            int rows = Math.Min(4, count - y);
            ReadOnlySpan<byte> rgb = source.Pixels.Slice((begin + y) * source.Pitch, rows * source.Pitch);
            Span<uint> widened = MemoryMarshal.Cast<byte, uint>(four.AsSpan(0, rows * wide));
            for (int i = 0, at = 0; i < widened.Length; i++, at += 3)
            {
                widened[i] = (uint)(rgb[at] | (rgb[at + 1] << 8) | (rgb[at + 2] << 16));
            }

            ReadOnlySpan<byte> input = four.AsSpan(0, (rows * wide) + PixelRows.Slack);
            Filter<TKernel>(axis, input, wide, color, narrowed.Slice(y * pitch, rows * pitch), pitch);
        }

        ArrayPool<byte>.Shared.Return(four);
    }

    // The width does not change: the window's part of each row, with canvas beside it.
    private static void CopyRows(
        in PixelRows source, in ResampleJob job, int begin, int end, Span<byte> narrowed, Span<byte> background)
    {
        int pitch = background.Length;
        for (int x = 0; x < job.Window.Width; x++)
        {
            (background[x * 3], background[(x * 3) + 1], background[(x * 3) + 2]) = job.Background;
        }

        int left = Math.Clamp(job.Origin.Left - job.Window.Left, 0, job.Window.Width);
        int from = Math.Clamp(job.Window.Left - job.Origin.Left, 0, source.Width);
        int count = Math.Min(source.Width - from, job.Window.Width - left);
        for (int y = begin; y < end; y++)
        {
            Span<byte> row = narrowed.Slice((y - begin) * pitch, pitch);
            background.CopyTo(row);
            ReadOnlySpan<byte> pixels = source.Pixels.Slice((y * source.Pitch) + (from * source.Depth), count * source.Depth);
            if (source.Depth == 4)
            {
                DropFourth(pixels, row.Slice(left * 3, count * 3));
            }
            else
            {
                pixels.CopyTo(row[(left * 3)..]);
            }
        }
    }

    /// <summary>Copies the first three bytes of every four.</summary>
    /// <param name="four">[count, 4].</param>
    /// <param name="three">[count, 3].</param>
    internal static void DropFourth(ReadOnlySpan<byte> four, Span<byte> three)
    {
        Vector128<byte> keep = Vector128.Create((byte)0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 255, 255, 255, 255);
        int i = 0;
        int at = 0;
        for (; at + 16 <= three.Length; i += 16, at += 12)
        {
            // Sixteen bytes are stored where twelve count; the last four are overwritten by what follows.
            Vector128.Shuffle(Vector128.Create(four[i..]), keep).CopyTo(three[at..]);
        }

        for (; at < three.Length; i += 4, at += 3)
        {
            (three[at], three[at + 1], three[at + 2]) = (four[i], four[i + 1], four[i + 2]);
        }
    }

    // Rounded weights need not sum to one exactly, so bare canvas is filtered as well, not assumed constant.
    private static void BareRow(ResampleAxis axis, ReadOnlySpan<int> color, Span<byte> background)
    {
        for (int x = 0; x < axis.Count; x++)
        {
            int total = axis.Outside(x);
            foreach (int weight in axis.Weights(x))
            {
                total += weight;
            }

            for (int channel = 0; channel < 3; channel++)
            {
                int sum = (ResampleAxis.Half + (color[channel] * total)) >> ResampleAxis.PrecisionBits;
                background[(x * 3) + channel] = (byte)Math.Clamp(sum, 0, 255);
            }
        }
    }
}
