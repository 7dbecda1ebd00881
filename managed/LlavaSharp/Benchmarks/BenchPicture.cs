using System.Security.Cryptography;
using System.Text.Json;
using LlavaSharp.Imaging;

namespace LlavaSharp.Benchmarks;

/// <summary>A JPEG to time, and what another implementation made of it, where that was measured.</summary>
/// <param name="Width">Columns.</param>
/// <param name="Height">Rows.</param>
/// <param name="Jpeg">The file.</param>
/// <param name="Peer">The other side's figures; null when there is none.</param>
public sealed record BenchPicture(int Width, int Height, ReadOnlyMemory<byte> Jpeg, PeerImageTimes? Peer)
{
    /// <summary>Pictures of our own: a few octaves of smooth noise, as JPEG of quality 90.</summary>
    /// <param name="width">Columns.</param>
    /// <param name="height">Rows.</param>
    /// <returns>The same picture every time.</returns>
    public static BenchPicture Draw(int width, int height)
    {
        byte[] pixels = new byte[width * height * 3];
        Random random = new(width ^ (height << 16));
        double[] sum = new double[pixels.Length];
        for (int side = 4, weight = 64; weight >= 2; side *= 2, weight /= 2)
        {
            byte[] coarse = new byte[side * side * 3];
            random.NextBytes(coarse);
            ReadOnlySpan<byte> octave = PillowResample.Bicubic(new RgbImage(side, side, coarse), width, height).Pixels;
            for (int i = 0; i < sum.Length; i++)
            {
                sum[i] += weight * (octave[i] - 127.5) / 128;
            }
        }

        for (int i = 0; i < sum.Length; i++)
        {
            pixels[i] = (byte)Math.Clamp(127.5 + sum[i], 0, 255);
        }

        return new(width, height, ImageEncoder.Jpeg(new RgbImage(width, height, pixels), 90), null);
    }

    /// <summary>Reads what <c>tests/peer/bench_images.py</c> wrote.</summary>
    /// <param name="path">Its JSON file.</param>
    /// <returns>The pictures, with its figures.</returns>
    /// <exception cref="UserErrorException">The file is missing or not of that kind.</exception>
    public static IReadOnlyList<BenchPicture> ReadPeer(string path)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            return [.. document.RootElement.GetProperty("images").EnumerateArray().Select(image => new BenchPicture(
                image.GetProperty("width").GetInt32(),
                image.GetProperty("height").GetInt32(),
                image.GetProperty("jpeg").GetBytesFromBase64(),
                new PeerImageTimes(
                    image.GetProperty("sha256").GetString()!,
                    image.GetProperty("seconds").GetDouble(),
                    image.GetProperty("decode_seconds").GetDouble())))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException
            or InvalidOperationException or FormatException)
        {
            throw new UserErrorException($"'{path}' is not what tests/peer/bench_images.py writes: {e.Message}", e);
        }
    }

    /// <summary>The hash by which two sides compare processed pictures.</summary>
    /// <param name="pixels">[3, S, S] float32.</param>
    /// <returns>SHA-256 of the bytes, in small letters.</returns>
    internal static string Hash(ReadOnlySpan<float> pixels) =>
        Convert.ToHexStringLower(SHA256.HashData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(pixels)));
}
