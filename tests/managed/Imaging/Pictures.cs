using LlavaSharp.Imaging;

namespace LlavaSharp.Tests.Imaging;

/// <summary>Pictures made for tests.</summary>
internal static class Pictures
{
    public static RgbImage Noise(int width, int height, int seed = 0)
    {
        byte[] pixels = new byte[width * height * 3];
        new Random(seed).NextBytes(pixels);
        return new RgbImage(width, height, pixels);
    }

    public static RgbImage Flat(int width, int height, byte value)
    {
        byte[] pixels = new byte[width * height * 3];
        Array.Fill(pixels, value);
        return new RgbImage(width, height, pixels);
    }

    /// <summary>The same pixels as the decoder leaves them: a fourth byte a pixel and bytes behind the last, of any value.</summary>
    public static PixelRows FourBytes(RgbImage image)
    {
        byte[] four = new byte[(image.Width * image.Height * 4) + PixelRows.Slack];
        new Random(1).NextBytes(four);
        for (int i = 0; i < image.Width * image.Height; i++)
        {
            image.Pixels.Slice(i * 3, 3).CopyTo(four.AsSpan(i * 4));
        }

        return new PixelRows(four, image.Width, image.Height, 4);
    }

    public static RgbImage PadToSquare(RgbImage image, byte red, byte green, byte blue)
    {
        int side = Math.Max(image.Width, image.Height);
        int left = (side - image.Width) / 2;
        int top = (side - image.Height) / 2;
        byte[] pixels = new byte[side * side * 3];
        for (int at = 0; at < pixels.Length; at += 3)
        {
            (pixels[at], pixels[at + 1], pixels[at + 2]) = (red, green, blue);
        }

        for (int y = 0; y < image.Height; y++)
        {
            image.Pixels.Slice(y * image.Width * 3, image.Width * 3).CopyTo(pixels.AsSpan((((top + y) * side) + left) * 3));
        }

        return new RgbImage(side, side, pixels);
    }
}
