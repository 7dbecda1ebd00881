using System.Buffers;

namespace LlavaSharp.Imaging;

/// <summary>
/// Pillow's 8-bit resize, byte for byte: a horizontal then a vertical pass, each with an antialiasing filter
/// in 22-bit fixed point, rounded and clipped to bytes between them; a pass whose size does not change is
/// skipped. Checked against Pillow's own results in the parity cases.
/// </summary>
public static class PillowResample
{
    /// <summary>What <c>Image.resize((width, height), Image.BICUBIC)</c> gives for an RGB image.</summary>
    /// <param name="source">Any size.</param>
    /// <param name="width">Columns wanted, at least 1.</param>
    /// <param name="height">Rows wanted, at least 1.</param>
    /// <returns>A new image.</returns>
    public static RgbImage Bicubic(RgbImage source, int width, int height)
    {
        ArgumentNullException.ThrowIfNull(source);
        return Avx2Kernel.IsSupported
            ? Bicubic<Avx2Kernel>(source.Rows, width, height)
            : Bicubic<PortableKernel>(source.Rows, width, height);
    }

    /// <summary>The same with given inner loops.</summary>
    /// <typeparam name="TKernel">The inner loops.</typeparam>
    /// <param name="source">Any size.</param>
    /// <param name="width">Columns wanted, at least 1.</param>
    /// <param name="height">Rows wanted, at least 1.</param>
    /// <returns>A new image.</returns>
    internal static RgbImage Bicubic<TKernel>(in PixelRows source, int width, int height)
        where TKernel : struct, IResampleKernel
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        ResampleJob job = new()
        {
            Canvas = (source.Width, source.Height),
            Target = (width, height),
            Window = (0, 0, width, height),
        };
        CopySink sink = new(new byte[checked(width * height * 3)], width * 3);
        Run<TKernel, CopySink>(source, job, ref sink);
        return new RgbImage(width, height, sink.Pixels);
    }

    /// <summary>Computes a job's window with the fastest loops of this machine.</summary>
    /// <typeparam name="TSink">What takes the rows.</typeparam>
    /// <param name="source">The picture on the canvas.</param>
    /// <param name="job">What to do.</param>
    /// <param name="sink">Takes each row of the window.</param>
    internal static void Run<TSink>(in PixelRows source, in ResampleJob job, ref TSink sink)
        where TSink : struct, IRowSink, allows ref struct
    {
        if (Avx2Kernel.IsSupported)
        {
            Run<Avx2Kernel, TSink>(source, job, ref sink);
        }
        else
        {
            Run<PortableKernel, TSink>(source, job, ref sink);
        }
    }

    /// <summary>Computes a job's window.</summary>
    /// <typeparam name="TKernel">The inner loops.</typeparam>
    /// <typeparam name="TSink">What takes the rows.</typeparam>
    /// <param name="source">The picture on the canvas.</param>
    /// <param name="job">What to do.</param>
    /// <param name="sink">Takes each row of the window.</param>
    internal static void Run<TKernel, TSink>(in PixelRows source, in ResampleJob job, ref TSink sink)
        where TKernel : struct, IResampleKernel
        where TSink : struct, IRowSink, allows ref struct
    {
        ResampleAxis? vertical = job.Target.Height == job.Canvas.Height ? null : ResampleAxis.Bicubic(
            job.Canvas.Height, job.Target.Height, job.Window.Top, job.Window.Height, job.Origin.Top, source.Height);
        int begin = vertical?.SourceBegin ?? Math.Clamp(job.Window.Top - job.Origin.Top, 0, source.Height);
        int end = vertical?.SourceEnd
            ?? Math.Clamp(job.Window.Top + job.Window.Height - job.Origin.Top, begin, source.Height);

        // One row of bare canvas, the source's rows, one row of the result. A pixel is stored as four bytes.
        int pitch = checked((((job.Window.Width * 3) + IResampleKernel.Lane) / IResampleKernel.Lane) * IResampleKernel.Lane);
        byte[] rented = ArrayPool<byte>.Shared.Rent(checked((end - begin + 2) * pitch));
        try
        {
            Span<byte> background = rented.AsSpan(0, pitch);
            Span<byte> narrowed = rented.AsSpan(pitch, (end - begin) * pitch);
            HorizontalPass.Run<TKernel>(source, job, begin, end, narrowed, background);
            if (vertical is null)
            {
                Paste(narrowed, background, begin, end, job, ref sink);
            }
            else
            {
                Span<byte> output = rented.AsSpan((end - begin + 1) * pitch, pitch);
                Vertical<TKernel, TSink>(vertical, narrowed, background, begin, job.Window, output, ref sink);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private static unsafe void Vertical<TKernel, TSink>(
        ResampleAxis axis,
        ReadOnlySpan<byte> narrowed,
        ReadOnlySpan<byte> background,
        int begin,
        (int Left, int Top, int Width, int Height) window,
        Span<byte> output,
        ref TSink sink)
        where TKernel : struct, IResampleKernel
        where TSink : struct, IRowSink, allows ref struct
    {
        int pitch = output.Length;
        nint[] taps = ArrayPool<nint>.Shared.Rent(axis.MostWeights + 1);
        int[] values = ArrayPool<int>.Shared.Rent(axis.MostWeights + 1);
        fixed (byte* rows = narrowed)
        fixed (byte* bare = background)
        fixed (byte* row = output)
        fixed (nint* pointers = taps)
        fixed (int* weights = values)
        {
            for (int y = 0; y < window.Height; y++)
            {
                int count = axis.Weights(y).Length;
                axis.Weights(y).CopyTo(values);
                for (int tap = 0; tap < count; tap++)
                {
                    taps[tap] = (nint)(rows + ((long)(axis.First(y) + tap - begin) * pitch));
                }

                if (axis.Outside(y) != 0)
                {
                    // What the canvas adds is a row like any other.
                    (taps[count], values[count]) = ((nint)bare, axis.Outside(y));
                    count++;
                }

                TKernel.Vertical((byte**)pointers, weights, count, row, pitch);
                sink.Accept(y, output[..(window.Width * 3)]);
            }
        }

        ArrayPool<int>.Shared.Return(values);
        ArrayPool<nint>.Shared.Return(taps);
    }

    private static void Paste<TSink>(
        ReadOnlySpan<byte> rows, ReadOnlySpan<byte> background, int begin, int end, in ResampleJob job, ref TSink sink)
        where TSink : struct, IRowSink, allows ref struct
    {
        int pitch = background.Length;
        for (int y = 0; y < job.Window.Height; y++)
        {
            int row = y + job.Window.Top - job.Origin.Top;
            ReadOnlySpan<byte> line = row >= begin && row < end ? rows.Slice((row - begin) * pitch, pitch) : background;
            sink.Accept(y, line[..(job.Window.Width * 3)]);
        }
    }

    private readonly struct CopySink(byte[] pixels, int stride) : IRowSink
    {
        public byte[] Pixels => pixels;

        public void Accept(int y, ReadOnlySpan<byte> rgb) => rgb.CopyTo(pixels.AsSpan(y * stride));
    }
}
