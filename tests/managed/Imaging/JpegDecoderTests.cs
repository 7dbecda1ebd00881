using LlavaSharp.Imaging;
using LlavaSharp.Imaging.Jpeg;
using SkiaSharp;

namespace LlavaSharp.Tests.Imaging;

/// <summary>Our decoder against libjpeg, as Skia carries it: the same bytes, or it declines.</summary>
public sealed class JpegDecoderTests
{
    public static TheoryData<int, int, int, SKJpegEncoderDownsample> Cases
    {
        get
        {
            TheoryData<int, int, int, SKJpegEncoderDownsample> data = [];
            (int, int)[] sizes =
                [(5, 1), (7, 7), (8, 8), (9, 17), (16, 16), (17, 33), (31, 5), (33, 64), (65, 47), (128, 96), (301, 203)];
            foreach ((int width, int height) in sizes)
            {
                foreach (int quality in (int[])[1, 30, 75, 90, 100])
                {
                    foreach (SKJpegEncoderDownsample sampling in Enum.GetValues<SKJpegEncoderDownsample>())
                    {
                        data.Add(width, height, quality, sampling);
                    }
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Pixels_are_those_of_libjpeg(int width, int height, int quality, SKJpegEncoderDownsample sampling)
    {
        Assert.SkipUnless(JpegTransform.IsSupported, "this machine has no AVX2");
        Same(Encode(Pictures.Noise(width, height), quality, sampling));
        Same(Encode(Smooth(width, height), quality, sampling));
    }

    [Fact]
    public void A_grey_file_gives_grey_pixels()
    {
        Assert.SkipUnless(JpegTransform.IsSupported, "this machine has no AVX2");
        foreach ((int width, int height) in ((int, int)[])[(1, 1), (40, 30), (17, 9), (3, 50)])
        {
            using SKBitmap bitmap = new(new SKImageInfo(width, height, SKColorType.Gray8));
            new Random(width).NextBytes(bitmap.GetPixelSpan());
            using SKData data = bitmap.Encode(SKEncodedImageFormat.Jpeg, 85);
            Same(data.ToArray());
        }
    }

    // Whatever is cut, changed or of another kind is decided by the general decoder alone.
    [Fact]
    public void Damage_is_left_to_the_general_decoder()
    {
        Assert.SkipUnless(JpegTransform.IsSupported, "this machine has no AVX2");
        byte[] jpeg = Encode(Smooth(61, 43), 80, SKJpegEncoderDownsample.Downsample420);
        for (int length = 0; length < jpeg.Length; length++)
        {
            Assert.Null(Ours(jpeg.AsSpan(0, length)));
        }

        Random random = new(7);
        int declined = 0;
        for (int trial = 0; trial < 3000; trial++)
        {
            byte[] changed = [.. jpeg];
            for (int i = 0; i < 3; i++)
            {
                changed[random.Next(2, changed.Length)] = (byte)random.Next(256);
            }

            // It must neither crash nor read outside; most changes are seen, some make another valid picture.
            declined += Ours(changed) is null ? 1 : 0;
        }

        Assert.InRange(declined, 300, 2999);
    }

    [Fact]
    public void Other_kinds_are_declined()
    {
        byte[] jpeg = Encode(Smooth(40, 30), 80, SKJpegEncoderDownsample.Downsample420);
        int frame = jpeg.AsSpan().IndexOf((ReadOnlySpan<byte>)[0xFF, 0xC0]);
        byte[] progressive = [.. jpeg];
        progressive[frame + 1] = 0xC2;
        Assert.Null(JpegFrame.Read(progressive));
        byte[] twelveBits = [.. jpeg];
        twelveBits[frame + 4] = 12;
        Assert.Null(JpegFrame.Read(twelveBits));
        byte[] restarts = [.. jpeg[..2], 0xFF, 0xDD, 0, 4, 0, 8, .. jpeg[2..]];
        Assert.Null(JpegFrame.Read(restarts));
        byte[] adobe = [.. jpeg[..2], 0xFF, 0xEE, 0, 14, .. "Adobe"u8, 0, 100, 0, 0, 0, 0, 0, .. jpeg[20..]];
        Assert.Null(JpegFrame.Read(adobe)); // without JFIF: stored as red, green, blue
        Assert.NotNull(JpegFrame.Read(jpeg));
    }

    private static void Same(byte[] jpeg)
    {
        using DecodedImage expected = ImageDecoder.OpenWithSkia(jpeg, "JPEG", "x", ImageLimits.Default);
        JpegFrame frame = Assert.IsType<JpegFrame>(JpegFrame.Read(jpeg));
        Assert.Equal((expected.Width, expected.Height), (frame.Width, frame.Height));
        using DecodedImage actual = new(frame.Width, frame.Height);
        actual.Bytes.Fill(77);
        Assert.True(JpegDecoder.TryDecode(frame, jpeg, actual));
        Assert.Equal(expected.ToRgb().Pixels.ToArray(), actual.ToRgb().Pixels.ToArray());
    }

    private static byte[]? Ours(ReadOnlySpan<byte> file)
    {
        if (JpegFrame.Read(file) is not { } frame || (long)frame.Width * frame.Height > 1 << 22)
        {
            return null;
        }

        using DecodedImage image = new(frame.Width, frame.Height);
        return JpegDecoder.TryDecode(frame, file, image) ? image.Bytes.ToArray() : null;
    }

    private static RgbImage Smooth(int width, int height) =>
        PillowResample.Bicubic(Pictures.Noise(Math.Max(2, width / 6), Math.Max(2, height / 6), width), width, height);

    private static byte[] Encode(RgbImage image, int quality, SKJpegEncoderDownsample sampling)
    {
        byte[] rgba = new byte[image.Width * image.Height * 4];
        Pictures.FourBytes(image).Pixels[..rgba.Length].CopyTo(rgba);
        using SKImage picture = SKImage.FromPixelCopy(
            new SKImageInfo(image.Width, image.Height, SKColorType.Rgba8888, SKAlphaType.Opaque), rgba);
        using SKPixmap pixels = picture.PeekPixels();
        using SKData data = pixels.Encode(new SKJpegEncoderOptions(quality, sampling, SKJpegEncoderAlphaOption.Ignore))!;
        return data.ToArray();
    }
}
