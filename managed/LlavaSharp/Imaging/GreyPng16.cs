using System.Buffers.Binary;
using System.IO.Compression;

namespace LlavaSharp.Imaging;

/// <summary>
/// Reads the values of a grey PNG of 16 bits a pixel (PNG specification 3rd edition, sections 4.4, 8 and 9): Pillow clips them at 255,
/// where other decoders scale them.
/// </summary>
internal static class GreyPng16
{
    private const int Bytes = 2, HeaderAt = 8;

    /// <summary>Adam7's passes: first column and row, and steps.</summary>
    private static readonly (int X, int Y, int StepX, int StepY)[] Passes =
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];

    /// <summary>Whether a PNG is grey with 16 bits and nothing else.</summary>
    public static bool Is(ReadOnlySpan<byte> png) => png.Length > 28 && png[24] == 16 && png[25] == 0;

    /// <summary>Writes min(value, 255) to each pixel's bytes.</summary>
    /// <param name="png">The file, which a decoder has accepted.</param>
    /// <param name="image">[height, width, 4].</param>
    /// <exception cref="InvalidDataException">The data is no such picture.</exception>
    public static void Read(ReadOnlySpan<byte> png, DecodedImage image)
    {
        using var data = new MemoryStream(Data(png));
        using var rows = new ZLibStream(data, CompressionMode.Decompress);
        foreach (var (x, y, stepX, stepY) in png[28] == 0 ? [(0, 0, 1, 1)] : Passes)
        {
            if (x >= image.Width || y >= image.Height)
            {
                continue;
            }

            var width = (image.Width - x + stepX - 1) / stepX;
            var (row, above) = (new byte[width * Bytes], new byte[width * Bytes]);
            for (var line = y; line < image.Height; line += stepY)
            {
                var filter = rows.ReadByte();
                rows.ReadExactly(row);
                Restore(filter, row, above);
                for (var i = 0; i < width; i++)
                {
                    var value = (byte)Math.Min(255, (int)BinaryPrimitives.ReadUInt16BigEndian(row.AsSpan(i * Bytes)));
                    image.Bytes.Slice(((line * image.Width) + x + (i * stepX)) * 4, 4).Fill(value);
                }

                (row, above) = (above, row);
            }
        }
    }

    /// <summary>The IDAT chunks' bytes.</summary>
    private static byte[] Data(ReadOnlySpan<byte> png)
    {
        using var data = new MemoryStream();
        for (var at = HeaderAt; at + 8 <= png.Length;)
        {
            var length = BinaryPrimitives.ReadUInt32BigEndian(png[at..]);
            if (length > png.Length - at - 8)
            {
                throw new InvalidDataException("a chunk is longer than the file");
            }

            if (png.Slice(at + 4, 4).SequenceEqual("IDAT"u8))
            {
                data.Write(png.Slice(at + 8, (int)length));
            }

            at += 12 + (int)length;
        }

        return data.ToArray();
    }

    /// <summary>Undoes a row's filter: each byte was reduced by what its left, upper and upper left neighbours foretold.</summary>
    private static void Restore(int filter, byte[] row, byte[] above)
    {
        for (var i = 0; i < row.Length; i++)
        {
            int left = i >= Bytes ? row[i - Bytes] : 0, up = above[i], corner = i >= Bytes ? above[i - Bytes] : 0;
            row[i] += (byte)(filter switch
            {
                0 => 0,
                1 => left,
                2 => up,
                3 => (left + up) / 2,
                4 => Paeth(left, up, corner),
                _ => throw new InvalidDataException($"filter {filter} is none"),
            });
        }
    }

    private static int Paeth(int left, int up, int corner)
    {
        var (a, b, c) = (Math.Abs(up - corner), Math.Abs(left - corner), Math.Abs(left + up - (2 * corner)));
        return a <= b && a <= c ? left : b <= c ? up : corner;
    }
}
