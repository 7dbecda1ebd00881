using LlavaSharp.Imaging;

namespace LlavaSharp.Tests.Imaging;

public sealed class ImageProcessorTests
{
    public static TheoryData<string, string, ImageAspectRatio> Cases
    {
        get
        {
            TheoryData<string, string, ImageAspectRatio> data = [];
            foreach (string name in (string[])["mha", "gqa-sharded-bf16"])
            {
                foreach (string image in Directory.GetFiles(Path.Combine(Golden.Folder, name, "images")).Order(StringComparer.Ordinal))
                {
                    data.Add(name, Path.GetFileName(image), ImageAspectRatio.Pad);
                    data.Add(name, Path.GetFileName(image), ImageAspectRatio.Square);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Pixels_are_bitwise_those_of_the_reference(string name, string image, ImageAspectRatio mode)
    {
        string folder = Path.Combine(Golden.Folder, name);
        ImageProcessor processor = new(ImageProcessorConfig.Load(Path.Combine(folder, "model")));
        float[] expected = Golden.Pixels(name)[image + (mode == ImageAspectRatio.Pad ? "/pad" : "/crop")];

        float[] actual = processor.Process(ImageDecoder.Load(Path.Combine(folder, "images", image)), mode);

        Assert.Equal(actual, processor.Load(Path.Combine(folder, "images", image), mode));
        Assert.Equal(Array.ConvertAll(expected, BitConverter.SingleToInt32Bits), Array.ConvertAll(actual, BitConverter.SingleToInt32Bits));
    }

    [Fact]
    public void The_destination_must_have_the_pictures_length()
    {
        ImageProcessor processor = new(ImageProcessorConfig.Clip(28));
        ArgumentException error = Assert.Throws<ArgumentException>(
            () => processor.Process(Pictures.Noise(3, 3), ImageAspectRatio.Pad, new float[5]));
        Assert.StartsWith("A processed picture is 3 × 28 × 28 values, not 5.", error.Message);
    }

    // What the code never does: the padded canvas and the whole resized picture, then the crop.
    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 500)]
    [InlineData(500, 1)]
    [InlineData(28, 28)]
    [InlineData(28, 91)]
    [InlineData(91, 28)]
    [InlineData(27, 29)]
    [InlineData(640, 479)]
    [InlineData(333, 334)]
    public void Windows_and_padding_equal_the_spelled_out_steps(int width, int height)
    {
        RgbImage image = Pictures.Noise(width, height);
        ImageProcessor processor = new(ImageProcessorConfig.Clip(28));

        Assert.Equal(SpelledOut(image, 28), processor.Process(image, ImageAspectRatio.Square));
        Assert.Equal(SpelledOut(Pictures.PadToSquare(image, 122, 116, 104), 28), processor.Process(image, ImageAspectRatio.Pad));

        foreach (ImageAspectRatio mode in Enum.GetValues<ImageAspectRatio>())
        {
            Assert.Equal(processor.Process(image, mode), processor.Process(Pictures.FourBytes(image), mode));
        }
    }

    [Fact]
    public void A_strip_of_a_million_pixels_needs_no_square_of_them()
    {
        RgbImage strip = Pictures.Noise(1 << 20, 1);
        float[] pixels = new ImageProcessor(ImageProcessorConfig.Clip(14)).Process(strip, ImageAspectRatio.Pad);
        Assert.Equal(((122 / 255.0f) - 0.48145466f) / 0.26862954f, pixels[0]);
    }

    [Fact]
    public void A_crop_larger_than_the_resized_picture_is_surrounded_by_black()
    {
        ImageProcessorConfig config = ImageProcessorConfig.Clip(6) with { ShortestEdge = 3 };
        float[] pixels = new ImageProcessor(config).Process(Pictures.Flat(10, 10, 255), ImageAspectRatio.Square);

        float black = (0f - 0.48145466f) / 0.26862954f;
        float white = (1f - 0.48145466f) / 0.26862954f;
        for (int y = 0; y < 6; y++)
        {
            for (int x = 0; x < 6; x++)
            {
                // (3 - 6) >> 1 = -2: two rows above, one below.
                Assert.Equal(y is >= 2 and < 5 && x is >= 2 and < 5 ? white : black, pixels[(y * 6) + x]);
            }
        }
    }

    [Fact]
    public void An_exact_height_and_width_squashes()
    {
        ImageProcessorConfig config = ImageProcessorConfig.Clip(4) with { KeepAspect = false };
        RgbImage image = Pictures.Noise(9, 31);
        float[] expected = new ImageProcessor(config).Process(PillowResample.Bicubic(image, 4, 4), ImageAspectRatio.Square);
        Assert.Equal(expected, new ImageProcessor(config).Process(image, ImageAspectRatio.Square));
    }

    private static float[] SpelledOut(RgbImage image, int size)
    {
        (int width, int height) = image.Width <= image.Height
            ? (size, size * image.Height / image.Width)
            : (size * image.Width / image.Height, size);
        RgbImage resized = PillowResample.Bicubic(image, width, height);
        int left = (width - size) / 2;
        int top = (height - size) / 2;
        float[] result = new float[3 * size * size];
        ReadOnlySpan<float> mean = [0.48145466f, 0.4578275f, 0.40821073f];
        ReadOnlySpan<float> deviation = [0.26862954f, 0.26130258f, 0.27577711f];
        for (int y = 0; y < size; y++)
        {
            for (int x = 0; x < size; x++)
            {
                for (int channel = 0; channel < 3; channel++)
                {
                    float value = (float)(resized.Pixels[((((top + y) * width) + left + x) * 3) + channel] * (1.0 / 255));
                    result[(((channel * size) + y) * size) + x] = (value - mean[channel]) / deviation[channel];
                }
            }
        }

        return result;
    }
}
