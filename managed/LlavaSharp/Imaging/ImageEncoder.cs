using SkiaSharp;

namespace LlavaSharp.Imaging;

/// <summary>Encodes pictures, for the demo's data set and for reports.</summary>
public static class ImageEncoder
{
    /// <summary>Encodes as PNG, without loss.</summary>
    /// <param name="image">The picture.</param>
    /// <returns>The file's bytes.</returns>
    public static byte[] Png(RgbImage image) => Encode(image, SKEncodedImageFormat.Png, 100);

    /// <summary>Encodes as JPEG.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="quality">1 … 100.</param>
    /// <returns>The file's bytes.</returns>
    public static byte[] Jpeg(RgbImage image, int quality)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(quality, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(quality, 100);
        return Encode(image, SKEncodedImageFormat.Jpeg, quality);
    }

    private static byte[] Encode(RgbImage image, SKEncodedImageFormat format, int quality)
    {
        ArgumentNullException.ThrowIfNull(image);
        SKImageInfo info = new(image.Width, image.Height, SKColorType.Rgba8888, SKAlphaType.Opaque);
        byte[] rgba = new byte[checked(image.Width * image.Height * 4)];
        ReadOnlySpan<byte> rgb = image.Pixels;
        for (int from = 0, to = 0; from < rgb.Length; from += 3, to += 4)
        {
            rgb.Slice(from, 3).CopyTo(rgba.AsSpan(to));
            rgba[to + 3] = 255;
        }

        using SKImage picture = SKImage.FromPixelCopy(info, rgba);
        using SKData? data = picture?.Encode(format, quality);
        return data?.ToArray()
            ?? throw new InvalidOperationException($"Skia cannot encode {image.Width} × {image.Height} pixels as {format}.");
    }
}
