using LlavaSharp.Imaging;

namespace LlavaSharp.Tests.Imaging;

public sealed class AnyResolutionTests
{
    private const int Side = 24;

    // Picture; canvas, resized picture, kept feature rows and columns, tokens with newlines.
    [Theory]
    [InlineData(640, 480, 672, 672, 672, 504, 36, 48, 2340)]
    [InlineData(480, 640, 672, 672, 504, 672, 48, 36, 2352)]
    [InlineData(1000, 300, 1344, 336, 1120, 336, 24, 80, 2520)]
    [InlineData(300, 1000, 336, 1344, 336, 1120, 80, 24, 2576)]
    [InlineData(336, 336, 336, 336, 336, 336, 24, 24, 1176)]
    [InlineData(200, 200, 336, 336, 336, 336, 24, 24, 1176)]
    [InlineData(1024, 1024, 672, 672, 672, 672, 48, 48, 2928)]
    [InlineData(1920, 1080, 672, 672, 672, 378, 28, 48, 1948)]
    public void The_recipes_vectors_with_its_canvases(
        int width, int height, int canvasWidth, int canvasHeight, int resizedWidth, int resizedHeight, int rows, int columns, int tokens)
    {
        AnyResolution sizes = new((width, height), AnyResolution.NeuralChat, 336);
        Assert.Equal((canvasWidth, canvasHeight), sizes.Canvas);
        Assert.Equal((canvasWidth / 336, canvasHeight / 336), sizes.Grid);
        Assert.Equal((resizedWidth, resizedHeight), sizes.Resized);
        Assert.Equal((rows, columns), (sizes.Unpadded(Side).Rows, sizes.Unpadded(Side).Columns));
        Assert.Equal(tokens, AnyResolutionLayout.Rows(sizes, Side, PatchMerge.SpatialUnpad).Length);
        Assert.Equal(576 * sizes.TileCount, AnyResolutionLayout.Rows(sizes, Side, PatchMerge.Spatial).Length);
    }

    [Fact]
    public void Published_checkpoints_choose_among_other_canvases()
    {
        AnyResolution sizes = new((1000, 300), AnyResolution.Llava16, 336);
        Assert.Equal((1008, 336), sizes.Canvas);
        Assert.Equal(2182, AnyResolutionLayout.Rows(sizes, Side, PatchMerge.SpatialUnpad).Length);
    }

    [Fact]
    public void The_order_of_float64_products_decides_a_row() =>
        Assert.Equal((672, 505), new AnyResolution((500, 375), AnyResolution.NeuralChat, 336).Resized);

    [Fact]
    public void Of_equal_canvases_the_first_wins()
    {
        Assert.Equal((672, 336), new AnyResolution((100, 100), [(672, 336), (336, 672)], 336).Canvas);
        Assert.Equal((336, 672), new AnyResolution((100, 100), [(336, 672), (672, 336)], 336).Canvas);
    }

    [Fact]
    public void Merging_keeps_each_row_once_in_the_pictures_order()
    {
        AnyResolution sizes = new((20, 40), [(8, 16)], 8); // one column of two tiles
        Assert.Equal(Enumerable.Range(0, 12), AnyResolutionLayout.Rows(sizes, 2, PatchMerge.Flat));
        Assert.Equal(Enumerable.Range(0, 12), AnyResolutionLayout.Rows(sizes, 2, PatchMerge.Spatial));

        AnyResolution wide = new((40, 20), [(16, 8)], 8); // one row of two tiles: their rows alternate
        Assert.Equal([0, 1, 2, 3, 4, 5, 8, 9, 6, 7, 10, 11], AnyResolutionLayout.Rows(wide, 2, PatchMerge.Spatial));
        Assert.Equal([0, 1, 2, 3, 4, 5, 8, 9, -1, 6, 7, 10, 11, -1], AnyResolutionLayout.Rows(wide, 2, PatchMerge.SpatialUnpad));

        AnyResolution high = new((10, 40), [(16, 16)], 8); // a quarter of the canvas's width, in the middle
        Assert.Equal((0, 1, 4, 2), high.Unpadded(2));
        Assert.Equal([5, 8, -1, 7, 10, -1, 13, 16, -1, 15, 18, -1], AnyResolutionLayout.Rows(high, 2, PatchMerge.SpatialUnpad)[4..]);
    }

    [Fact]
    public void Tiles_are_the_squeezed_picture_and_the_parts_of_the_canvas()
    {
        RgbImage image = Pictures.Noise(50, 20, seed: 3);
        ImageProcessor processor = new(ImageProcessorConfig.Clip(28));
        (float[] pixels, AnyResolution sizes) = AnyResolutionTiles.Cut(processor, image, [(28, 28), (56, 28)]);
        Assert.Equal((56, 28), sizes.Canvas);
        Assert.Equal((56, 23), sizes.Resized);
        int length = 3 * 28 * 28;
        Assert.Equal(3 * length, pixels.Length);
        Assert.Equal(processor.Process(PillowResample.Bicubic(image, 28, 28), ImageAspectRatio.Square), pixels[..length]);

        // Black above and below, two rows and three; the second tile begins at column 28 of the resized picture.
        RgbImage resized = PillowResample.Bicubic(image, 56, 23);
        float black = (0f - 0.48145466f) / 0.26862954f;
        for (int y = 0; y < 28; y++)
        {
            for (int x = 0; x < 28; x++)
            {
                float expected = y is < 2 or >= 25
                    ? black
                    : ((float)(resized[28 + x, y - 2].Red * (1.0 / 255)) - 0.48145466f) / 0.26862954f;
                Assert.Equal(expected, pixels[(2 * length) + (y * 28) + x]);
            }
        }
    }

    [Fact]
    public void Canvases_must_be_whole_tiles()
    {
        Assert.Contains("[336, 700]", Assert.Throws<UserErrorException>(() => new AnyResolution((9, 9), [(336, 700)], 336)).Message);
        Assert.Contains("is empty", Assert.Throws<UserErrorException>(() => new AnyResolution((9, 9), [], 336)).Message);
    }
}
