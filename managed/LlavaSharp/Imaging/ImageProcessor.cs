using System.Buffers;
using System.Globalization;

namespace LlavaSharp.Imaging;

/// <summary>
/// A picture as the vision tower reads it: made square, resized with Pillow's bicubic filter, rescaled and
/// normalised. Bit for bit what Hugging Face's CLIPImageProcessor gives, after LLaVA's <c>expand2square</c>
/// in <see cref="ImageAspectRatio.Pad"/> mode. Instances are immutable and safe on any thread.
/// </summary>
public sealed class ImageProcessor
{
    private readonly ImageProcessorConfig _config;
    private readonly (byte Red, byte Green, byte Blue) _background;
    private readonly float[] _values; // [3, 256]: the normalised value of every byte of every channel

    /// <summary>Prepares the tables for a configuration.</summary>
    /// <param name="config">Sizes, mean and deviation.</param>
    public ImageProcessor(ImageProcessorConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        _config = config;
        _background = (PadByte(config.Mean[0]), PadByte(config.Mean[1]), PadByte(config.Mean[2]));
        _values = new float[3 * 256];
        for (int channel = 0; channel < 3; channel++)
        {
            for (int value = 0; value < 256; value++)
            {
                // The reference multiplies in float64, rounds to float32 and normalises in float32.
                float rescaled = (float)(value * config.RescaleFactor);
                _values[(channel * 256) + value] = (rescaled - config.Mean[channel]) / config.Std[channel];
            }
        }
    }

    /// <summary>Side S of the result, in pixels.</summary>
    public int Size => _config.Size;

    /// <summary>Processes a picture into a new array.</summary>
    /// <param name="image">Any size.</param>
    /// <param name="mode">How it becomes square.</param>
    /// <returns>[3, S, S] float32.</returns>
    public float[] Process(RgbImage image, ImageAspectRatio mode)
    {
        float[] result = new float[3 * Size * Size];
        Process(image, mode, result);
        return result;
    }

    /// <summary>Processes a picture into the caller's memory.</summary>
    /// <param name="image">Any size.</param>
    /// <param name="mode">How it becomes square.</param>
    /// <param name="destination">[3, S, S] float32.</param>
    /// <exception cref="ArgumentException">The destination has another length.</exception>
    public void Process(RgbImage image, ImageAspectRatio mode, Span<float> destination)
    {
        ArgumentNullException.ThrowIfNull(image);
        int plane = Size * Size;
        if (destination.Length != 3 * plane)
        {
            throw new ArgumentException(
                $"A processed picture is 3 × {Size} × {Size} values, not {destination.Length}.", nameof(destination));
        }

        byte[] bytes = ArrayPool<byte>.Shared.Rent(3 * plane);
        try
        {
            Span<byte> square = bytes.AsSpan(0, 3 * plane);
            Resize(image, mode, square);
            Normalise(square, destination, plane);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    private void Resize(RgbImage image, ImageAspectRatio mode, Span<byte> square)
    {
        (int Width, int Height) canvas = (image.Width, image.Height);
        (int Left, int Top) origin = (0, 0);
        if (mode == ImageAspectRatio.Pad)
        {
            int side = Math.Max(image.Width, image.Height);
            canvas = (side, side);
            origin = ((side - image.Width) / 2, (side - image.Height) / 2);
        }

        (int Width, int Height) target = Target(canvas.Width, canvas.Height);

        // The centre of the resized picture; where it is smaller than S, black surrounds it before rescaling.
        (int left, int outLeft, int width) = Crop(target.Width);
        (int top, int outTop, int height) = Crop(target.Height);
        ResampleJob job = new()
        {
            Canvas = canvas,
            Target = target,
            Origin = origin,
            Background = _background,
            Window = (left, top, width, height),
        };
        if (width == Size && height == Size)
        {
            PillowResample.Run(image, job, square);
            return;
        }

        byte[] part = new byte[width * height * 3];
        PillowResample.Run(image, job, part);
        square.Clear();
        for (int y = 0; y < height; y++)
        {
            part.AsSpan(y * width * 3, width * 3).CopyTo(square[((((outTop + y) * Size) + outLeft) * 3)..]);
        }
    }

    private (int Width, int Height) Target(int width, int height)
    {
        if (!_config.KeepAspect)
        {
            return (_config.ShortestEdge, _config.ShortestEdge);
        }

        int edge = _config.ShortestEdge;
        return width <= height
            ? (edge, checked((int)((long)edge * height / width)))
            : (checked((int)((long)edge * width / height)), edge);
    }

    // Floor division, also of the negative difference of a picture smaller than the crop.
    private (int From, int To, int Count) Crop(int length)
    {
        int from = (length - Size) >> 1;
        return from >= 0 ? (from, 0, Size) : (0, -from, length);
    }

    private void Normalise(ReadOnlySpan<byte> square, Span<float> destination, int plane)
    {
        ReadOnlySpan<float> red = _values.AsSpan(0, 256);
        ReadOnlySpan<float> green = _values.AsSpan(256, 256);
        ReadOnlySpan<float> blue = _values.AsSpan(512, 256);
        Span<float> reds = destination[..plane];
        Span<float> greens = destination.Slice(plane, plane);
        Span<float> blues = destination.Slice(2 * plane, plane);
        for (int i = 0, at = 0; i < plane; i++, at += 3)
        {
            reds[i] = red[square[at]];
            greens[i] = green[square[at + 1]];
            blues[i] = blue[square[at + 2]];
        }
    }

    // Python's int(mean * 255) on the decimal number of the file, not on its nearest float32.
    private static byte PadByte(float mean)
    {
        double value = double.Parse(mean.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        return (byte)Math.Clamp((int)(value * 255), 0, 255);
    }
}
