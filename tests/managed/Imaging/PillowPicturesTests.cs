using System.IO.Compression;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text.Json;
using LlavaSharp.Imaging;

namespace LlavaSharp.Tests.Imaging;

/// <summary>Small pictures of every kind that is read, and what Pillow 12.3 makes of them by <c>convert("RGB")</c>: the output of
/// tests/peer/make_pictures, which has these pixels themselves with <c>--rgb</c>.</summary>
public sealed class PillowPicturesTests
{
    private static readonly Dictionary<string, JsonElement> Pictures = Read();

    public static TheoryData<string> Names => [.. Pictures.Keys];

    /// <summary>The bytes of a picture's file.</summary>
    public static byte[] FileOf(string name) => Pictures[name].GetProperty("file").GetBytesFromBase64();

    [Theory]
    [MemberData(nameof(Names))]
    public void Pixels_are_Pillows(string name)
    {
        RgbImage image = ImageDecoder.Decode(FileOf(name), "x");
        Assert.Equal(SizeOf(name), (image.Width, image.Height));
        Assert.Equal(Pictures[name].GetProperty("sha256").GetString(), Convert.ToHexStringLower(SHA256.HashData(image.Pixels))[..16]);
    }

    /// <summary>Rows of an anyres picture are counted before it is decoded.</summary>
    [Fact]
    public void The_measured_size_is_the_decoded_one()
    {
        using TempFolder folder = new();
        Assert.All(Pictures.Keys, name => Assert.Equal(SizeOf(name), ImageDecoder.Measure(folder.Write("x.jpg", FileOf(name)))));
    }

    private static (int Width, int Height) SizeOf(string name) =>
        (Pictures[name].GetProperty("width").GetInt32(), Pictures[name].GetProperty("height").GetInt32());

    private static Dictionary<string, JsonElement> Read([CallerFilePath] string path = "")
    {
        using FileStream packed = File.OpenRead(Path.Combine(Path.GetDirectoryName(path)!, "Golden", "pictures.jsonl.gz"));
        using GZipStream file = new(packed, CompressionMode.Decompress);
        using StreamReader lines = new(file);
        return lines.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonDocument.Parse(line).RootElement).ToDictionary(e => e.GetProperty("name").GetString()!);
    }
}
