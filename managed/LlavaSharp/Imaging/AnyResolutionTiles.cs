namespace LlavaSharp.Imaging;

/// <summary>The pixels of an <c>anyres</c> picture's tiles.</summary>
public static class AnyResolutionTiles
{
    /// <summary>Cuts a picture.</summary>
    /// <param name="processor">The tower's sizes, mean and deviation; its side is the tiles'.</param>
    /// <param name="image">The picture.</param>
    /// <param name="canvases">Canvas sizes to choose from.</param>
    /// <returns>[T,3,S,S] float32: the whole picture squeezed into a square, then the canvas's tiles; and the sizes.</returns>
    /// <exception cref="UserErrorException">As <see cref="AnyResolution"/>.</exception>
    public static (float[] Pixels, AnyResolution Sizes) Cut(
        ImageProcessor processor, RgbImage image, IReadOnlyList<(int Width, int Height)> canvases)
    {
        int side = processor.Size;
        AnyResolution sizes = new((image.Width, image.Height), canvases, side);
        int length = 3 * side * side;
        float[] pixels = new float[sizes.TileCount * length];

        // A square of the tower's size passes the processor's resize and crop unchanged.
        processor.Process(PillowResample.Bicubic(image, side, side), ImageAspectRatio.Square, pixels.AsSpan(0, length));
        RgbImage canvas = Paste(PillowResample.Bicubic(image, sizes.Resized.Width, sizes.Resized.Height), sizes.Canvas);
        for (int tile = 1; tile < sizes.TileCount; tile++)
        {
            (int row, int column) = Math.DivRem(tile - 1, sizes.Grid.Columns);
            processor.Process(Part(canvas, column * side, row * side, side), ImageAspectRatio.Square, pixels.AsSpan(tile * length, length));
        }

        return (pixels, sizes);
    }

    private static RgbImage Paste(RgbImage image, (int Width, int Height) canvas)
    {
        byte[] pixels = new byte[canvas.Width * canvas.Height * 3];
        int left = (canvas.Width - image.Width) / 2, top = (canvas.Height - image.Height) / 2;
        for (int y = 0; y < image.Height; y++)
        {
            image.Pixels.Slice(y * image.Width * 3, image.Width * 3).CopyTo(pixels.AsSpan((((top + y) * canvas.Width) + left) * 3));
        }

        return new RgbImage(canvas.Width, canvas.Height, pixels);
    }

    private static RgbImage Part(RgbImage image, int left, int top, int side)
    {
        byte[] pixels = new byte[side * side * 3];
        for (int y = 0; y < side; y++)
        {
            image.Pixels.Slice((((top + y) * image.Width) + left) * 3, side * 3).CopyTo(pixels.AsSpan(y * side * 3));
        }

        return new RgbImage(side, side, pixels);
    }
}
