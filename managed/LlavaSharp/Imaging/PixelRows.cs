namespace LlavaSharp.Imaging;

/// <summary>A picture as the resampler reads it: rows from the top without gaps, red first, three or four bytes a pixel.</summary>
internal readonly ref struct PixelRows
{
    /// <summary>Bytes that must be readable after the last pixel of a picture of four bytes a pixel: filters read four
    /// pixels at once, and give those past their end the weight zero.</summary>
    public const int Slack = 16;

    /// <summary>Describes pixels.</summary>
    /// <param name="pixels">[height, width, depth], then <see cref="Slack"/> bytes if the depth is 4.</param>
    /// <param name="width">Columns.</param>
    /// <param name="height">Rows.</param>
    /// <param name="depth">Bytes a pixel, 3 or 4; a fourth is not looked at.</param>
    public PixelRows(ReadOnlySpan<byte> pixels, int width, int height, int depth)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(
            (long)pixels.Length, ((long)width * height * depth) + (depth == 4 ? Slack : 0), nameof(pixels));
        Pixels = pixels;
        (Width, Height, Depth) = (width, height, depth);
    }

    /// <summary>[height, width, depth].</summary>
    public ReadOnlySpan<byte> Pixels { get; }

    /// <summary>Columns.</summary>
    public int Width { get; }

    /// <summary>Rows.</summary>
    public int Height { get; }

    /// <summary>Bytes a pixel.</summary>
    public int Depth { get; }

    /// <summary>Bytes a row.</summary>
    public int Pitch => Width * Depth;
}
