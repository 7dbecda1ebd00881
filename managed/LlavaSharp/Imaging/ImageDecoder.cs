using System.Buffers;
using System.Buffers.Binary;
using LlavaSharp.Imaging.Jpeg;
using Microsoft.Win32.SafeHandles;
using SkiaSharp;

namespace LlavaSharp.Imaging;

/// <summary>
/// Decodes JPEG, PNG, WebP, BMP and GIF (first frame), recognised by content, as <c>Image.open(…).convert("RGB")</c>
/// of the recipe does: alpha is dropped without compositing, colour profiles and EXIF orientation are not applied.
/// </summary>
public static class ImageDecoder
{
    /// <summary>Reads and decodes a file.</summary>
    /// <param name="path">The file; its extension does not matter.</param>
    /// <param name="limits">Caps; <see cref="ImageLimits.Default"/> when null.</param>
    /// <exception cref="UserErrorException">The file is missing, is not such a picture, is damaged or is past a cap.</exception>
    public static RgbImage Load(string path, ImageLimits? limits = null)
    {
        using DecodedImage image = Open(path, limits);
        return image.ToRgb();
    }

    /// <summary>Decodes a file that is already in memory.</summary>
    /// <param name="file">The encoded bytes.</param>
    /// <param name="nameForErrors">What messages call it.</param>
    /// <param name="limits">Caps; <see cref="ImageLimits.Default"/> when null.</param>
    /// <exception cref="UserErrorException">Not such a picture, damaged or past a cap.</exception>
    public static RgbImage Decode(ReadOnlyMemory<byte> file, string nameForErrors, ImageLimits? limits = null)
    {
        using DecodedImage image = Open(file.Span, nameForErrors, limits);
        return image.ToRgb();
    }

    /// <summary>A picture's size, of its header alone.</summary>
    /// <param name="path">The file.</param>
    /// <returns>Width and height, in pixels.</returns>
    /// <exception cref="UserErrorException">The file is missing or is not a picture.</exception>
    public static (int Width, int Height) Measure(string path)
    {
        // Skia's header and Pillow's disagree about some files of the formats that are decoded here: those are opened.
        using SKCodec? codec = File.Exists(path) ? SKCodec.Create(path) : null;
        if (codec is { EncodedFormat: SKEncodedImageFormat.Jpeg or SKEncodedImageFormat.Png or SKEncodedImageFormat.Webp })
        {
            return (codec.Info.Width, codec.Info.Height);
        }

        using DecodedImage image = Open(path); // Says what is wrong.
        return (image.Width, image.Height);
    }

    /// <summary>Reads and decodes a file into borrowed memory.</summary>
    /// <param name="path">The file; its extension does not matter.</param>
    /// <param name="limits">Caps; <see cref="ImageLimits.Default"/> when null.</param>
    /// <returns>The picture; dispose it to give the memory back.</returns>
    /// <exception cref="UserErrorException">The file is missing, is not such a picture, is damaged or is past a cap.</exception>
    internal static DecodedImage Open(string path, ImageLimits? limits = null)
    {
        limits ??= ImageLimits.Default;
        try
        {
            FileInfo info = new(path);
            if (!info.Exists)
            {
                string what = Directory.Exists(path) ? "is a folder, not a file" : "does not exist";
                throw Error(ImageFault.Missing, $"image {path} {what}: check the sample's \"image\" and the image folder.");
            }

            using SafeFileHandle file = File.OpenHandle(path);
            long length = RandomAccess.GetLength(file);
            CheckBytes(length, path, limits);
            byte[] bytes = ArrayPool<byte>.Shared.Rent(checked((int)length));
            try
            {
                int read = 0;
                while (read < length && RandomAccess.Read(file, bytes.AsSpan(read, (int)length - read), read) is > 0 and var more)
                {
                    read += more;
                }

                return Open(bytes.AsSpan(0, read), path, limits);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(bytes);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw Error(ImageFault.Missing, $"image {path} cannot be read: {error.Message}");
        }
    }

    /// <summary>Decodes a file that is already in memory into borrowed memory.</summary>
    /// <param name="file">The encoded bytes.</param>
    /// <param name="nameForErrors">What messages call it.</param>
    /// <param name="limits">Caps; <see cref="ImageLimits.Default"/> when null.</param>
    /// <returns>The picture; dispose it to give the memory back.</returns>
    /// <exception cref="UserErrorException">Not such a picture, damaged or past a cap.</exception>
    internal static DecodedImage Open(ReadOnlySpan<byte> file, string nameForErrors, ImageLimits? limits = null)
    {
        limits ??= ImageLimits.Default;
        CheckBytes(file.Length, nameForErrors, limits);
        string format = Recognise(file, nameForErrors);
        if (format == "PNG" && file.Length >= 24)
        {
            // Skia refuses some oversized headers without saying why: read IHDR's two numbers first.
            long width = BinaryPrimitives.ReadUInt32BigEndian(file[16..]);
            long height = BinaryPrimitives.ReadUInt32BigEndian(file[20..]);
            CheckPixels(width, height, nameForErrors, limits);
        }

        if (format == "JPEG" && JpegDecoder.Open(file) is { } frame)
        {
            CheckPixels(frame.Width, frame.Height, nameForErrors, limits);
            DecodedImage image = new(frame.Width, frame.Height);
            if (JpegDecoder.TryDecode(frame, file, image))
            {
                return image;
            }

            image.Dispose();
        }

        return format switch
        {
            "BMP" => OpenBmp(file, nameForErrors, limits),
            "GIF" => OpenGif(file, nameForErrors, limits),
            _ => OpenWithSkia(file, format, nameForErrors, limits),
        };
    }

    private static DecodedImage OpenBmp(ReadOnlySpan<byte> file, string name, ImageLimits limits)
    {
        DecodedImage? image = null;
        string part = "its header";
        try
        {
            BmpFile bmp = BmpFile.Read(file);
            CheckPixels(bmp.Width, bmp.Height, name, limits);
            image = new DecodedImage((int)bmp.Width, (int)bmp.Height);
            part = $"its {bmp.Width} × {bmp.Height} pixels";
            bmp.Decode(file, image);
            return image;
        }
        catch (InvalidDataException error)
        {
            image?.Dispose();
            throw Damaged("BMP", name, part, error.Message);
        }
    }

    private static DecodedImage OpenGif(ReadOnlySpan<byte> file, string name, ImageLimits limits)
    {
        GifFirstFrame frame = GifFirstFrame.Read(file)
            ?? throw Damaged("GIF", name, "its first frame", "the file ends too early, or has none");
        CheckPixels(frame.Canvas.Width, frame.Canvas.Height, name, limits);
        DecodedImage pixels = OpenWithSkia(frame.File, "GIF", name, limits);
        if (frame.IsWhole)
        {
            return pixels;
        }

        using (pixels)
        {
            DecodedImage canvas = new(frame.Canvas.Width, frame.Canvas.Height);
            frame.Paste(pixels, canvas);
            return canvas;
        }
    }

    /// <summary>Decodes with the general decoder, whatever the format.</summary>
    internal static unsafe DecodedImage OpenWithSkia(ReadOnlySpan<byte> file, string format, string nameForErrors, ImageLimits limits)
    {
        fixed (byte* bytes = file)
        {
            // Skia reads the pinned bytes themselves; the codec ends before they move.
            using SKData data = SKData.Create((nint)bytes, file.Length);
            using SKMemoryStream stream = new(data);
            using SKCodec codec = SKCodec.Create(stream, out SKCodecResult opened);
            if (opened != SKCodecResult.Success)
            {
                throw Damaged(format, nameForErrors, "its header", opened);
            }

            SKImageInfo info = new(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul);
            CheckPixels(info.Width, info.Height, nameForErrors, limits);

            // A grey PNG of 16 bits: Pillow clips its values at 255, where Skia scales them.
            return format == "PNG" && GreyPng16.Is(file)
                ? GreyOf16Bits(file, codec, info, nameForErrors)
                : Pixels(codec, info, format, nameForErrors);
        }
    }

    private static DecodedImage GreyOf16Bits(ReadOnlySpan<byte> file, SKCodec codec, SKImageInfo info, string name)
    {
        // Skia's decode says whether the file is whole.
        DecodedImage image = Pixels(codec, info, "PNG", name);
        try
        {
            GreyPng16.Read(file, image);
            return image;
        }
        catch (Exception error) when (error is InvalidDataException or EndOfStreamException)
        {
            image.Dispose();
            throw Damaged("PNG", name, $"its {info.Width} × {info.Height} pixels", SKCodecResult.ErrorInInput);
        }
    }

    private static unsafe DecodedImage Pixels(SKCodec codec, SKImageInfo info, string format, string name)
    {
        DecodedImage image = new(info.Width, info.Height);
        fixed (byte* rgba = image.Bytes)
        {
            SKCodecResult result = codec.GetPixels(info, (nint)rgba);
            if (result == SKCodecResult.Success)
            {
                return image;
            }

            image.Dispose();
            throw Damaged(format, name, $"its {info.Width} × {info.Height} pixels", result);
        }
    }

    /// <summary>The format of a file by its first bytes: PNG, JPEG, GIF, WebP or BMP.</summary>
    internal static string Recognise(ReadOnlySpan<byte> file, string name)
    {
        if (file.StartsWith((ReadOnlySpan<byte>)[0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]))
        {
            return "PNG";
        }

        if (file.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF]))
        {
            return "JPEG";
        }

        if (file.StartsWith("GIF87a"u8) || file.StartsWith("GIF89a"u8))
        {
            return "GIF";
        }

        if (file.Length >= 12 && file.StartsWith("RIFF"u8) && file[8..].StartsWith("WEBP"u8))
        {
            return "WebP";
        }

        return file.StartsWith("BM"u8) && IsBmpHeader(file) ? "BMP" : throw ForeignFile.Refusal(file, name);
    }

    // Two letters are few: a bitmap's second header begins with its length, which is small.
    private static bool IsBmpHeader(ReadOnlySpan<byte> file) => file.Length >= 18 && file[15] + file[16] + file[17] == 0;

    private static void CheckBytes(long bytes, string name, ImageLimits limits)
    {
        if (bytes > limits.MaxBytes)
        {
            throw Error(ImageFault.TooLarge,
                $"image {name} is {bytes} bytes, above the limit of {limits.MaxBytes}: shrink it or leave it out.");
        }
    }

    private static void CheckPixels(long width, long height, string name, ImageLimits limits)
    {
        // One at a time before the product, which two sides of a hostile header could overflow.
        if (width > limits.MaxSide || height > limits.MaxSide)
        {
            throw Error(ImageFault.TooLarge,
                $"image {name} is {width} × {height} pixels, above the limit of {limits.MaxSide} a side: shrink it or leave it out.");
        }

        if (width * height > limits.MaxPixels)
        {
            throw Error(ImageFault.TooLarge,
                $"image {name} is {width} × {height} = {width * height} pixels, above the limit of {limits.MaxPixels}: "
                + "shrink it or leave it out.");
        }
    }

    private static UserErrorException Damaged(string format, string name, string part, SKCodecResult result) =>
        Damaged(format, name, part, result switch
        {
            SKCodecResult.IncompleteInput => "the file ends too early",
            SKCodecResult.ErrorInInput => "the data is damaged",
            _ => $"the decoder reports {result}",
        });

    private static UserErrorException Damaged(string format, string name, string part, string why) => Error(
        ImageFault.Damaged,
        $"image {name} is a {format} file, but {part} cannot be decoded: {why}; fetch it again or leave it out.");

    private static UserErrorException Error(ImageFault fault, string message) => Fault.With(new UserErrorException(message), fault);
}
