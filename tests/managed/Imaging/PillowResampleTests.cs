using LlavaSharp.Imaging;

namespace LlavaSharp.Tests.Imaging;

public sealed class PillowResampleTests
{
    [Theory]
    [InlineData(1, 1, 1, 1)]
    [InlineData(1, 1, 7, 5)]
    [InlineData(1, 500, 13, 3)]
    [InlineData(500, 1, 3, 13)]
    [InlineData(17, 23, 17, 9)]
    [InlineData(17, 23, 40, 23)]
    [InlineData(17, 23, 17, 23)]
    [InlineData(64, 48, 21, 16)]
    [InlineData(5, 6, 33, 31)]
    [InlineData(640, 48, 336, 25)]
    [InlineData(31, 400, 3, 337)]
    [InlineData(9, 9, 400, 2)]
    public void Every_kernel_agrees_with_plain_loops(int width, int height, int toWidth, int toHeight)
    {
        RgbImage image = Pictures.Noise(width, height, seed: width + height);
        RgbImage expected = Transpose(Rows(Transpose(Rows(image, toWidth)), toHeight));
        Same(expected, PillowResample.Bicubic(image, toWidth, toHeight));
        Same(expected, PillowResample.Bicubic<PortableKernel>(image.Rows, toWidth, toHeight));
        Same(expected, PillowResample.Bicubic<PortableKernel>(Pictures.FourBytes(image), toWidth, toHeight));
        if (Avx2Kernel.IsSupported)
        {
            Same(expected, PillowResample.Bicubic<Avx2Kernel>(image.Rows, toWidth, toHeight));
            Same(expected, PillowResample.Bicubic<Avx2Kernel>(Pictures.FourBytes(image), toWidth, toHeight));
        }
    }

    // Weights are cut in two 12-bit halves: the extremes of pixels and weights must meet again.
    [Theory]
    [InlineData(0, 255)]
    [InlineData(255, 0)]
    public void Black_beside_white_agrees(byte first, byte second)
    {
        byte[] pixels = new byte[40 * 24 * 3];
        for (int at = 0; at < pixels.Length; at++)
        {
            pixels[at] = ((at / 3) + (at / 120)) % 2 == 0 ? first : second;
        }

        RgbImage board = new(40, 24, pixels);
        foreach ((int width, int height) in ((int, int)[])[(41, 25), (39, 23), (160, 3), (1, 1), (14, 96)])
        {
            RgbImage expected = Transpose(Rows(Transpose(Rows(board, width)), height));
            Same(expected, PillowResample.Bicubic(board, width, height));
            Same(expected, PillowResample.Bicubic<PortableKernel>(board.Rows, width, height));
        }
    }

    [Fact]
    public void A_picture_of_four_bytes_a_pixel_needs_room_behind_it()
    {
        byte[] tight = new byte[2 * 2 * 4];
        Assert.Throws<ArgumentOutOfRangeException>(() => new PixelRows(tight, 2, 2, 4).Width);
        Assert.Equal(2, new PixelRows(new byte[tight.Length + PixelRows.Slack], 2, 2, 4).Width);
    }

    [Fact]
    public void Equal_sizes_copy()
    {
        RgbImage image = Pictures.Noise(19, 11);
        Assert.Equal(image.Pixels.ToArray(), PillowResample.Bicubic(image, 19, 11).Pixels.ToArray());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(255)]
    [InlineData(104)]
    public void A_flat_picture_stays_flat(byte value)
    {
        Assert.All(PillowResample.Bicubic(Pictures.Flat(37, 91, value), 56, 14).Pixels.ToArray(), x => Assert.Equal(value, x));
    }

    [Fact]
    public void Overshoot_is_clipped()
    {
        RgbImage edge = new(4, 1, [0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255]);
        byte[] wide = PillowResample.Bicubic(edge, 16, 1).Pixels.ToArray();
        Assert.Equal(0, wide[3 * 4]);
        Assert.Equal(255, wide[3 * 11]);
    }

    [Fact]
    public void Impossible_sizes_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => PillowResample.Bicubic(Pictures.Noise(2, 2), 0, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => PillowResample.Bicubic(Pictures.Noise(2, 2), 2, -1));
        Assert.Throws<ArgumentException>(() => new RgbImage(2, 2, new byte[11]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Pictures.Noise(2, 2)[2, 0]);
    }

    private static void Same(RgbImage expected, RgbImage actual)
    {
        Assert.Equal((expected.Width, expected.Height), (actual.Width, actual.Height));
        Assert.Equal(expected.Pixels.ToArray(), actual.Pixels.ToArray());
    }

    // One horizontal pass, written for reading.
    private static RgbImage Rows(RgbImage image, int width)
    {
        if (width == image.Width)
        {
            return image;
        }

        double scale = (double)image.Width / width;
        double stretch = Math.Max(1, scale);
        byte[] result = new byte[width * image.Height * 3];
        for (int x = 0; x < width; x++)
        {
            double center = (x + 0.5) * scale;
            int low = Math.Max(0, (int)(center - (2 * stretch) + 0.5));
            int high = Math.Min(image.Width, (int)(center + (2 * stretch) + 0.5));
            double[] weights = [.. Enumerable.Range(low, high - low).Select(at => Cubic((at - center + 0.5) * (1 / stretch)))];
            double total = weights.Aggregate(0.0, (sum, weight) => sum + weight);
            int[] whole = [.. weights.Select(w => w / total).Select(w => (int)((w < 0 ? -0.5 : 0.5) + (w * (1 << 22))))];
            for (int y = 0; y < image.Height; y++)
            {
                for (int channel = 0; channel < 3; channel++)
                {
                    int sum = 1 << 21;
                    for (int tap = 0; tap < whole.Length; tap++)
                    {
                        sum += whole[tap] * image.Pixels[(((y * image.Width) + low + tap) * 3) + channel];
                    }

                    result[(((y * width) + x) * 3) + channel] = (byte)Math.Clamp(sum >> 22, 0, 255);
                }
            }
        }

        return new RgbImage(width, image.Height, result);
    }

    private static double Cubic(double x)
    {
        x = Math.Abs(x);
        return x < 1 ? (((1.5 * x) - 2.5) * x * x) + 1 : x < 2 ? ((((x - 5) * x) + 8) * x - 4) * -0.5 : 0;
    }

    private static RgbImage Transpose(RgbImage image)
    {
        byte[] result = new byte[image.Pixels.Length];
        for (int y = 0; y < image.Height; y++)
        {
            for (int x = 0; x < image.Width; x++)
            {
                image.Pixels.Slice(((y * image.Width) + x) * 3, 3).CopyTo(result.AsSpan(((x * image.Height) + y) * 3));
            }
        }

        return new RgbImage(image.Height, image.Width, result);
    }
}
