using System.Buffers.Binary;
using LlavaSharp.Imaging;
using SkiaSharp;

namespace LlavaSharp.Tests.Imaging;

public sealed class ImageDecoderTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 500)]
    [InlineData(500, 1)]
    [InlineData(2, 3)]
    [InlineData(5, 1)]
    [InlineData(31, 17)]
    public void Png_round_trips_exactly(int width, int height)
    {
        RgbImage image = Pictures.Noise(width, height);
        RgbImage decoded = ImageDecoder.Decode(ImageEncoder.Png(image), "x.png");
        Assert.Equal((width, height), (decoded.Width, decoded.Height));
        Assert.Equal(image.Pixels.ToArray(), decoded.Pixels.ToArray());
    }

    [Fact]
    public void Jpeg_and_webp_come_back_close()
    {
        RgbImage image = Pictures.Flat(40, 30, 90);
        RgbImage jpeg = ImageDecoder.Decode(ImageEncoder.Jpeg(image, 95), "x.jpg");
        Assert.All(jpeg.Pixels.ToArray(), value => Assert.InRange(value, 88, 92));
        RgbImage webp = ImageDecoder.Decode(Skia(image, SKEncodedImageFormat.Webp), "x.webp");
        Assert.All(webp.Pixels.ToArray(), value => Assert.InRange(value, 88, 92));
    }

    [Fact]
    public void Alpha_is_dropped_not_composited()
    {
        // A red pixel that is invisible, and a half visible green one.
        byte[] png = Png.Write(2, 1, 8, 6, [255, 0, 0, 0, 0, 200, 0, 128]);
        Assert.Equal([255, 0, 0, 0, 200, 0], ImageDecoder.Decode(png, "x").Pixels.ToArray());
    }

    [Fact]
    public void Sixteen_bits_keep_their_high_byte()
    {
        byte[] png = Png.Write(2, 1, 16, 2, [10, 255, 20, 127, 30, 128, 255, 255, 0, 0, 1, 0]);
        Assert.Equal([10, 20, 30, 255, 0, 1], ImageDecoder.Decode(png, "x").Pixels.ToArray());
    }

    [Fact]
    public void Grey_of_sixteen_bits_is_clipped_as_Pillow_does()
    {
        // What Pillow 12.3 gives for Image.open(…).convert("RGB"), grey without and with alpha: only the first is clipped.
        int[] values = [0, 1, 100, 254, 255, 256, 300, 1000, 32768, 65535, 511, 128];
        byte[] row = [.. values.SelectMany(v => new[] { (byte)(v >> 8), (byte)v })];
        byte[] grey = One(Png.Write(12, 1, 16, 0, row));
        Assert.Equal([0, 1, 100, 254, 255, 255, 255, 255, 255, 255, 255, 128], grey);
        byte[] alpha = One(Png.Write(6, 1, 16, 4, row));
        Assert.Equal([0, 0, 0, 1, 128, 1], alpha);

        // Every value that is not clipped survives half precision.
        byte[] ramp = [.. Enumerable.Range(0, 257).SelectMany(v => new[] { (byte)(v >> 8), (byte)v })];
        byte[] all = ImageDecoder.Decode(Png.Write(257, 1, 16, 0, ramp), "x").Pixels.ToArray();
        Assert.All(Enumerable.Range(0, 257), v => Assert.Equal(Math.Min(v, 255), all[v * 3]));

        static byte[] One(byte[] png) =>
            [.. ImageDecoder.Decode(png, "x").Pixels.ToArray().Chunk(3).Select(pixel => Assert.Single(pixel.Distinct()))];
    }

    [Fact]
    public void Grey_and_grey_with_alpha_become_three_equal_channels()
    {
        Assert.Equal([7, 7, 7, 250, 250, 250], ImageDecoder.Decode(Png.Write(2, 1, 8, 0, [7, 250]), "x").Pixels.ToArray());
        Assert.Equal([7, 7, 7, 250, 250, 250], ImageDecoder.Decode(Png.Write(2, 1, 8, 4, [7, 0, 250, 9]), "x").Pixels.ToArray());
    }

    [Fact]
    public void A_palette_gives_its_colours_transparent_or_not()
    {
        byte[] png = Png.Write(3, 1, 8, 3, [1, 0, 2], palette: [1, 2, 3, 40, 50, 60, 255, 254, 253], transparency: [255, 0, 100]);
        Assert.Equal([40, 50, 60, 1, 2, 3, 255, 254, 253], ImageDecoder.Decode(png, "x").Pixels.ToArray());
    }

    [Fact]
    public void One_bit_pixels_are_black_and_white()
    {
        Assert.Equal([255, 255, 255, 0, 0, 0, 255, 255, 255], ImageDecoder.Decode(Png.Write(3, 1, 1, 0, [0b1010_0000]), "x").Pixels.ToArray());
    }

    [Fact]
    public void The_first_frame_of_a_gif_is_read()
    {
        // 1 × 1, palette of two, one frame of colour 1, LZW codes: clear, 1, end.
        byte[] gif =
        [
            .. "GIF89a"u8, 1, 0, 1, 0, 0x80, 0, 0, 9, 8, 7, 200, 100, 50,
            0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x4C, 0x01, 0, 0x3B,
        ];
        Assert.Equal([200, 100, 50], ImageDecoder.Decode(gif, "x").Pixels.ToArray());
    }

    [Fact]
    public void Exif_orientation_is_not_applied()
    {
        byte[] jpeg = ImageEncoder.Jpeg(Pictures.Flat(20, 10, 3), 90);
        byte[] turned = [.. jpeg[..2], .. Exif(6), .. jpeg[2..]];
        RgbImage image = ImageDecoder.Decode(turned, "x");
        Assert.Equal((20, 10), (image.Width, image.Height));
    }

    [Fact]
    public void Content_decides_not_the_extension()
    {
        using TempFolder folder = new();
        string path = folder.Write("really-a-png.jpg", ImageEncoder.Png(Pictures.Flat(4, 4, 9)));
        Assert.Equal(9, ImageDecoder.Load(path).Pixels[0]);
    }

    [Fact]
    public void A_header_of_ten_thousand_million_pixels_is_refused_before_decoding()
    {
        byte[] png = Png.Write(1, 1, 8, 2, [1, 2, 3]);
        Png.Resize(png, 100_000, 100_000);
        Assert.Equal(
            "image x is 100000 × 100000 = 10000000000 pixels, above the limit of 178956970: shrink it or leave it out.",
            Refusal(png));
        Png.Resize(png, uint.MaxValue, uint.MaxValue);
        Assert.Equal(
            "image x is 4294967295 × 4294967295 pixels, above the limit of 1048576 a side: shrink it or leave it out.",
            Refusal(png));
    }

    [Theory]
    [InlineData(SKEncodedImageFormat.Jpeg)]
    [InlineData(SKEncodedImageFormat.Webp)]
    [InlineData(SKEncodedImageFormat.Png)]
    public void Caps_hold_for_every_format(SKEncodedImageFormat format)
    {
        byte[] file = Skia(Pictures.Noise(30, 20), format);
        UserErrorException pixels = Assert.Throws<UserErrorException>(
            () => ImageDecoder.Decode(file, "x", ImageLimits.Default with { MaxPixels = 599 }));
        Assert.Equal("image x is 30 × 20 = 600 pixels, above the limit of 599: shrink it or leave it out.", pixels.Message);
        UserErrorException bytes = Assert.Throws<UserErrorException>(
            () => ImageDecoder.Decode(file, "x", ImageLimits.Default with { MaxBytes = 10 }));
        Assert.Equal($"image x is {file.Length} bytes, above the limit of 10: shrink it or leave it out.", bytes.Message);
        Assert.Equal(30, ImageDecoder.Decode(file, "x", new ImageLimits(file.Length, 600)).Width);
    }

    // Never a picture whose lower part is grey: wherever the file is cut, it is refused.
    [Theory]
    [InlineData(SKEncodedImageFormat.Jpeg)]
    [InlineData(SKEncodedImageFormat.Png)]
    [InlineData(SKEncodedImageFormat.Webp)]
    public void A_truncated_file_is_an_error_wherever_it_is_cut(SKEncodedImageFormat format)
    {
        byte[] file = Skia(Pictures.Noise(64, 64), format);
        for (int length = 0; length < file.Length - 16; length += length < 700 ? 1 : 97)
        {
            string message = Refusal(file[..length]);
            Assert.StartsWith("image x is ", message);
            Assert.DoesNotContain('\n', message);
        }
    }

    [Theory]
    [InlineData("gif small frame, transparent")]
    [InlineData("gif interlaced 17")]
    [InlineData("gif 256 colours")]
    [InlineData("bmp 8 bits, 9 wide")]
    [InlineData("bmp 16 bits, 565, header 40")]
    [InlineData("bmp 24 bits, 9 wide")]
    [InlineData("bmp rle8, filled")]
    public void So_is_one_that_is_decoded_here(string name)
    {
        byte[] file = PillowPicturesTests.FileOf(name);

        // The last bytes of a GIF close it, those of a bitmap may fill up a row or say that it ends.
        for (int length = 0; length < file.Length - 4; length++)
        {
            string message = Refusal(file[..length]);
            Assert.StartsWith("image x is ", message);
            Assert.DoesNotContain('\n', message);
        }
    }

    [Theory]
    [InlineData("gif small frame, transparent")]
    [InlineData("gif interlaced small frame")]
    [InlineData("bmp 4 bits, 7 wide")]
    [InlineData("bmp 32 bits, masks 5")]
    [InlineData("bmp 16 bits, 565, header 124")]
    [InlineData("bmp rle8, row too long")]
    [InlineData("bmp rle4")]
    public void Neither_does_damage_to_what_is_decoded_here(string name) => Damage(PillowPicturesTests.FileOf(name), 3000);

    [Fact]
    public void Caps_hold_for_what_is_decoded_here()
    {
        byte[] gif = PillowPicturesTests.FileOf("gif small frame"), bmp = PillowPicturesTests.FileOf("bmp 24 bits, 9 wide");
        gif[6] = gif[7] = gif[8] = gif[9] = 0xFF;
        Assert.Equal("image x is 65535 × 65535 = 4294836225 pixels, above the limit of 178956970: shrink it or leave it out.", Refusal(gif));
        BinaryPrimitives.WriteInt32LittleEndian(bmp.AsSpan(18), int.MaxValue);
        Assert.StartsWith("image x is 2147483647 × 5 pixels, above the limit of 1048576 a side: ", Refusal(bmp));
        BinaryPrimitives.WriteInt32LittleEndian(bmp.AsSpan(18), 1 << 20);
        Assert.Equal(
            "image x is a BMP file, but its 1048576 × 5 pixels cannot be decoded: the file ends too early; fetch it again or leave it out.", Refusal(bmp));
        BinaryPrimitives.WriteInt32LittleEndian(bmp.AsSpan(18), 0);
        Assert.Equal("image x is a BMP file, but its header cannot be decoded: it has no pixels; fetch it again or leave it out.", Refusal(bmp));
        bmp[28] = 2;
        Assert.Equal(
            "image x is a BMP file, but its header cannot be decoded: it has 2 bits a pixel, and 1, 4, 8, 16, 24 and 32 are read; fetch it again or leave it out.",
            Refusal(bmp));
    }

    [Fact]
    public void A_truncated_picture_says_so()
    {
        byte[] png = ImageEncoder.Png(Pictures.Noise(50, 40));
        Assert.Equal(
            "image x is a PNG file, but its 50 × 40 pixels cannot be decoded: the file ends too early; fetch it again or leave it out.",
            Refusal(png[..(png.Length / 2)]));
        byte[] jpeg = ImageEncoder.Jpeg(Pictures.Noise(50, 40), 90);
        Assert.Equal(
            "image x is a JPEG file, but its 50 × 40 pixels cannot be decoded: the file ends too early; fetch it again or leave it out.",
            Refusal(jpeg[..(jpeg.Length / 2)]));
    }

    [Theory]
    [InlineData(SKEncodedImageFormat.Jpeg)]
    [InlineData(SKEncodedImageFormat.Png)]
    [InlineData(SKEncodedImageFormat.Webp)]
    public void Damaged_bytes_never_crash(SKEncodedImageFormat format) => Damage(Skia(Pictures.Noise(24, 24), format), 300);

    private static void Damage(byte[] file, int rounds)
    {
        Random random = new(7);
        for (int round = 0; round < rounds; round++)
        {
            byte[] damaged = [.. file];
            for (int i = 0; i < 1 + (round % 8); i++)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }

            try
            {
                RgbImage image = ImageDecoder.Decode(damaged, "x", new ImageLimits(1 << 20, 1 << 20));
                Assert.Equal(image.Width * image.Height * 3, image.Pixels.Length);
            }
            catch (UserErrorException error)
            {
                Assert.StartsWith("image x is ", error.Message);
            }
        }
    }

    [Fact]
    public void Files_that_cannot_be_read_are_named()
    {
        using TempFolder temp = new();
        string folder = temp.Path;
        string missing = temp["none.png"];
        Assert.Equal(
            $"image {missing} does not exist: check the sample's \"image\" and the image folder.",
            Assert.Throws<UserErrorException>(() => ImageDecoder.Load(missing)).Message);
        Assert.Equal(
            $"image {folder} is a folder, not a file: check the sample's \"image\" and the image folder.",
            Assert.Throws<UserErrorException>(() => ImageDecoder.Load(folder)).Message);
    }

    private static string Refusal(byte[] file) =>
        Assert.Throws<UserErrorException>(() => ImageDecoder.Decode(file, "x")).Message;

    private static byte[] Skia(RgbImage image, SKEncodedImageFormat format)
    {
        if (format == SKEncodedImageFormat.Png)
        {
            return ImageEncoder.Png(image);
        }

        using SKBitmap bitmap = new(image.Width, image.Height, SKColorType.Rgba8888, SKAlphaType.Opaque);
        for (int y = 0; y < image.Height; y++)
        {
            for (int x = 0; x < image.Width; x++)
            {
                (byte red, byte green, byte blue) = image[x, y];
                bitmap.SetPixel(x, y, new SKColor(red, green, blue));
            }
        }

        using SKData data = bitmap.Encode(format, 90);
        return data.ToArray();
    }

    private static byte[] Exif(byte orientation)
    {
        byte[] body =
        [
            .. "Exif\0\0"u8, .. "MM"u8, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0,
        ];
        byte[] length = new byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(length, (ushort)(body.Length + 2));
        return [0xFF, 0xE1, .. length, .. body];
    }
}
