using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

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

    /// <summary>Reads, decodes and processes a file, with one copy of its pixels at most.</summary>
    /// <param name="path">JPEG, PNG, WebP, GIF or BMP.</param>
    /// <param name="mode">How it becomes square.</param>
    /// <param name="limits">Caps; <see cref="ImageLimits.Default"/> when null.</param>
    /// <returns>[3, S, S] float32.</returns>
    /// <exception cref="UserErrorException">The file is missing, is not such a picture, is damaged or is past a cap.</exception>
    public float[] Load(string path, ImageAspectRatio mode, ImageLimits? limits = null)
    {
        using DecodedImage image = ImageDecoder.Open(path, limits);
        return Process(image.Rows, mode);
    }

    /// <summary>Processes a picture into a new array.</summary>
    /// <param name="image">Any size.</param>
    /// <param name="mode">How it becomes square.</param>
    /// <returns>[3, S, S] float32.</returns>
    public float[] Process(RgbImage image, ImageAspectRatio mode)
    {
        ArgumentNullException.ThrowIfNull(image);
        return Process(image.Rows, mode);
    }

    /// <summary>Processes a picture into the caller's memory.</summary>
    /// <param name="image">Any size.</param>
    /// <param name="mode">How it becomes square.</param>
    /// <param name="destination">[3, S, S] float32.</param>
    /// <exception cref="ArgumentException">The destination has another length.</exception>
    public void Process(RgbImage image, ImageAspectRatio mode, Span<float> destination)
    {
        ArgumentNullException.ThrowIfNull(image);
        Process(image.Rows, mode, destination);
    }

    /// <summary>Processes pixels into a new array.</summary>
    /// <param name="image">Any size.</param>
    /// <param name="mode">How they become square.</param>
    /// <returns>[3, S, S] float32.</returns>
    internal float[] Process(in PixelRows image, ImageAspectRatio mode)
    {
        float[] result = GC.AllocateUninitializedArray<float>(3 * Size * Size);
        Process(image, mode, result);
        return result;
    }

    /// <summary>Processes pixels into the caller's memory.</summary>
    /// <param name="image">Any size.</param>
    /// <param name="mode">How they become square.</param>
    /// <param name="destination">[3, S, S] float32.</param>
    internal void Process(in PixelRows image, ImageAspectRatio mode, Span<float> destination)
    {
        int plane = Size * Size;
        if (destination.Length != 3 * plane)
        {
            throw new ArgumentException(
                $"A processed picture is 3 × {Size} × {Size} values, not {destination.Length}.", nameof(destination));
        }

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
        if (width < Size || height < Size)
        {
            for (int channel = 0; channel < 3; channel++)
            {
                destination.Slice(channel * plane, plane).Fill(_values[channel * 256]);
            }
        }

        ResampleJob job = new()
        {
            Canvas = canvas,
            Target = target,
            Origin = origin,
            Background = _background,
            Window = (left, top, width, height),
        };
        NormaliseSink sink = new(_values, destination[((outTop * Size) + outLeft)..], Size);
        PillowResample.Run(image, job, ref sink);
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

    // Python's int(mean * 255) on the decimal number of the file, not on its nearest float32.
    private static byte PadByte(float mean)
    {
        double value = double.Parse(mean.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        return (byte)Math.Clamp((int)(value * 255), 0, 255);
    }
    // Rows of bytes become rows of three planes, through the table of values.
    private readonly ref struct NormaliseSink(float[] values, Span<float> destination, int size) : IRowSink
    {
        private readonly Span<float> _destination = destination;

        public void Accept(int y, ReadOnlySpan<byte> rgb)
        {
            int width = rgb.Length / 3;
            int plane = size * size;
            Span<float> reds = _destination.Slice(y * size, width);
            Span<float> greens = _destination.Slice(plane + (y * size), width);
            Span<float> blues = _destination.Slice((2 * plane) + (y * size), width);
            ref float red = ref MemoryMarshal.GetArrayDataReference(values);
            ref float green = ref Unsafe.Add(ref red, 256);
            ref float blue = ref Unsafe.Add(ref red, 512);
            ref byte pixel = ref MemoryMarshal.GetReference(rgb);
            for (int i = 0; i < width; i++)
            {
                // The spans above have been sliced to this width: nothing reaches past them.
                Unsafe.Add(ref MemoryMarshal.GetReference(reds), i) = Unsafe.Add(ref red, pixel);
                Unsafe.Add(ref MemoryMarshal.GetReference(greens), i) = Unsafe.Add(ref green, Unsafe.Add(ref pixel, 1));
                Unsafe.Add(ref MemoryMarshal.GetReference(blues), i) = Unsafe.Add(ref blue, Unsafe.Add(ref pixel, 2));
                pixel = ref Unsafe.Add(ref pixel, 3);
            }
        }
    }
}
