using System.Buffers;

namespace LlavaSharp.Imaging.Jpeg;

/// <summary>
/// Decodes the common kind of JPEG file to the bytes that libjpeg gives, faster than a build of it without vector code.
/// Whatever is not that kind, or not whole, is left to the general decoder, which also words the error.
/// </summary>
internal static unsafe class JpegDecoder
{
    /// <summary>Reads a file's header.</summary>
    /// <param name="file">The whole file.</param>
    /// <returns>Null when it is not for this decoder, on this machine.</returns>
    public static JpegFrame? Open(ReadOnlySpan<byte> file) => JpegTransform.IsSupported ? JpegFrame.Read(file) : null;

    /// <summary>Decodes the pixels.</summary>
    /// <param name="frame">The file's header.</param>
    /// <param name="file">The whole file.</param>
    /// <param name="image">Receives them.</param>
    /// <returns>False when the data is damaged or goes on with another scan: nothing can be said about the pixels.</returns>
    public static bool TryDecode(JpegFrame frame, ReadOnlySpan<byte> file, DecodedImage image)
    {
        int across = 8 * frame.Across, down = 8 * frame.Down;
        int columns = (frame.Width + across - 1) / across, rows = (frame.Height + down - 1) / down;

        // Planes are as wide as their blocks, and readable and writable a little past both ends.
        Plane luma = new(columns * across, rows * down, 0);
        Plane chroma = new(columns * 8, rows * 8, luma.End);
        Plane other = new(columns * 8, rows * 8, chroma.End);
        byte[] rented = ArrayPool<byte>.Shared.Rent((frame.Components == 1 ? luma : other).End + JpegColors.Margin);
        try
        {
            fixed (byte* planes = rented)
            {
                if (!Scan(frame, file[frame.DataBegin..], planes, [luma, chroma, other], columns, rows))
                {
                    return false;
                }

                Color(frame, planes, luma, chroma, other, image);
                return true;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private static bool Scan(JpegFrame frame, ReadOnlySpan<byte> data, byte* memory, ReadOnlySpan<Plane> planes, int columns, int rows)
    {
        JpegBits bits = new(data);
        Span<int> predicted = stackalloc int[3];
        Span<short> block = stackalloc short[64];
        ReadOnlySpan<byte> order = JpegFrame.ZigZag;
        fixed (short* coefficients = block)
        {
            for (int row = 0; row < rows; row++)
            {
                for (int column = 0; column < columns; column++)
                {
                    for (int part = 0; part < frame.Components; part++)
                    {
                        (int across, int down) = part == 0 ? (frame.Across, frame.Down) : (1, 1);
                        Plane plane = planes[part];
                        for (int i = 0; i < across * down; i++)
                        {
                            block.Clear();
                            int end = bits.Block(frame.Codes[part], order, block, ref predicted[part]);
                            int y = 8 * ((row * down) + (i / across)), x = 8 * ((column * across) + (i % across));
                            byte* output = memory + plane.At(x, y);
                            if (end > 1)
                            {
                                fixed (int* quantiser = frame.Quantisers[part])
                                {
                                    JpegTransform.Block(coefficients, quantiser, output, plane.Pitch);
                                }
                            }
                            else if (end == 1)
                            {
                                JpegTransform.Flat(block[0] * frame.Quantisers[part][0], output, plane.Pitch);
                            }
                            else
                            {
                                return false;
                            }
                        }
                    }
                }
            }
        }

        // All of the scan must be there, and nothing but the end of the image after it.
        return !bits.Overrun && bits.Position + 2 <= data.Length && data[bits.Position] == 0xFF && data[bits.Position + 1] == 0xD9;
    }

    private static void Color(JpegFrame frame, byte* planes, Plane luma, Plane chroma, Plane other, DecodedImage image)
    {
        int width = frame.Width;
        int lanes = (width + (2 * JpegColors.Lane)) / JpegColors.Lane * JpegColors.Lane;
        byte[] rented = ArrayPool<byte>.Shared.Rent((10 * lanes) + (4 * JpegColors.Margin));
        fixed (byte* memory = rented)
        fixed (byte* pixels = image.Bytes)
        {
            short* sums = (short*)(memory + JpegColors.Margin);
            byte* blue = (byte*)(sums + lanes + JpegColors.Margin), red = blue + (2 * lanes), last = red + (2 * lanes);
            for (int y = 0; y < frame.Height; y++)
            {
                byte* bright = planes + luma.At(0, y);
                byte* output = pixels + ((long)y * width * 4);

                // Whole lanes are written: past the end of a row the next one follows, past the last one nothing.
                byte* target = y + 1 < frame.Height && width >= JpegColors.Lane ? output : last;
                if (frame.Components == 1)
                {
                    JpegColors.Grey(bright, width, target);
                }
                else if (frame.Across == 1)
                {
                    JpegColors.Convert(bright, planes + chroma.At(0, y), planes + other.At(0, y), width, target);
                }
                else
                {
                    Halved(frame, planes, chroma, y, sums, blue);
                    Halved(frame, planes, other, y, sums, red);
                    JpegColors.Convert(bright, blue, red, width, target);
                }

                if (target == last)
                {
                    Buffer.MemoryCopy(last, output, width * 4, width * 4);
                }
            }
        }

        ArrayPool<byte>.Shared.Return(rented);
    }

    private static void Halved(JpegFrame frame, byte* planes, Plane plane, int y, short* sums, byte* output)
    {
        int count = (frame.Width + 1) / 2;
        if (frame.Down == 1)
        {
            JpegColors.Widen(planes + plane.At(0, y), count, sums);
            JpegColors.Double(sums, count, 2, output);
            return;
        }

        // Only rows of the picture are mixed, not those that fill up the last blocks.
        int most = ((frame.Height + 1) / 2) - 1;
        int near = y / 2;
        int far = Math.Clamp(near + (y % 2 == 0 ? -1 : 1), 0, most);
        JpegColors.Mix(planes + plane.At(0, near), planes + plane.At(0, far), count, sums);
        JpegColors.Double(sums, count, 4, output);
    }

    private readonly record struct Plane(int Pitch, int Height, int Begin)
    {
        public int End => checked(Begin + (Pitch * Height) + JpegColors.Margin);

        public int At(int x, int y) => Begin + (y * Pitch) + x;
    }
}
