using System.Buffers.Binary;
using System.Numerics;

namespace LlavaSharp.Imaging;

/// <summary>
/// A Windows or OS/2 bitmap (BITMAPCOREHEADER to BITMAPV5HEADER): 1, 4 and 8 bits with a palette, run lengths of 4 and 8 bits, 16, 24
/// and 32 bits. What Pillow refuses is refused; a channel of 5 or 6 bits is stretched as there, by 255 / 31 or 255 / 63, cut off.
/// </summary>
internal sealed class BmpFile
{
    private const int Raw = 0, Runs8 = 1, Runs4 = 2, BitFields = 3, FileHeaderBytes = 14, CoreBytes = 12;

    // Which bytes of a pixel of 32 bits Pillow takes for red, green, blue and alpha; four zeros are blue, green, red, alpha.
    private static readonly uint[][] Masks32 =
    [
        [0xFF0000, 0xFF00, 0xFF, 0], [0xFF000000, 0xFF0000, 0xFF00, 0], [0xFF000000, 0xFF00, 0xFF, 0], [0xFF000000, 0xFF0000, 0xFF00, 0xFF],
        [0xFF, 0xFF00, 0xFF0000, 0xFF000000], [0xFF0000, 0xFF00, 0xFF, 0xFF000000], [0xFF000000, 0xFF00, 0xFF, 0xFF0000], [0, 0, 0, 0],
    ];

    private static readonly uint[] Masks565 = [0xF800, 0x7E0, 0x1F], Masks555 = [0x7C00, 0x3E0, 0x1F], MasksBgr = [0xFF0000, 0xFF00, 0xFF];

    private readonly byte[] _palette = new byte[256 * 3];
    private int _bits;
    private int _compression;
    private int _data;
    private bool _topDown;
    private uint[] _masks = [];

    private BmpFile()
    {
    }

    /// <summary>Columns.</summary>
    public uint Width { get; private set; }

    /// <summary>Rows.</summary>
    public uint Height { get; private set; }

    /// <summary>Reads a file up to its pixels.</summary>
    /// <param name="file">The whole file.</param>
    /// <exception cref="InvalidDataException">The header ends too early, or is of a kind that is not read.</exception>
    public static BmpFile Read(ReadOnlySpan<byte> file)
    {
        var bmp = new BmpFile();
        uint header = file.Length < FileHeaderBytes + 4 ? 0 : Long(file, FileHeaderBytes);
        if (file.Length < FileHeaderBytes + Math.Max(header, 4))
        {
            throw new InvalidDataException("the file ends too early");
        }

        if (header is not (CoreBytes or 40 or 52 or 56 or 64 or 108 or 124))
        {
            throw new InvalidDataException($"its header has {header} bytes, and 12, 40, 52, 56, 64, 108 or 124 are known");
        }

        bmp.ReadHeader(file, (int)header);
        return bmp.Width > 0 && bmp.Height > 0 ? bmp : throw new InvalidDataException("it has no pixels");
    }

    /// <summary>Decodes the pixels.</summary>
    /// <param name="file">The file that was read.</param>
    /// <param name="image">[height, width, 4].</param>
    /// <exception cref="InvalidDataException">The pixels end too early; the message says so.</exception>
    public void Decode(ReadOnlySpan<byte> file, DecodedImage image)
    {
        int width = image.Width, height = image.Height;
        byte[]? indices = _compression is Runs8 or Runs4 ? Expand(file, width, height) : null;
        long stride = ((((long)width * _bits) + 31) >> 3) & ~3L, used = (((long)width * _bits) + 7) / 8;
        if (indices is null && _data + (stride * (height - 1)) + used > file.Length)
        {
            throw new InvalidDataException("the file ends too early");
        }

        for (int y = 0; y < height; y++)
        {
            Span<byte> row = image.Bytes.Slice((_topDown ? y : height - 1 - y) * width * 4, width * 4);
            ReadOnlySpan<byte> source = indices is null ? file[(int)(_data + (stride * y))..] : indices.AsSpan(y * width);
            DecodeRow(source, indices is null ? _bits : 8, row);
        }
    }

    private void ReadHeader(ReadOnlySpan<byte> file, int header)
    {
        ReadOnlySpan<byte> info = file[FileHeaderBytes..(FileHeaderBytes + header)];
        bool core = header == CoreBytes;
        uint colors = 0;
        _data = (int)Math.Min(Long(file, 10), file.Length);
        if (core)
        {
            (Width, Height, _bits) = (Short(info, 4), Short(info, 6), Short(info, 10));
        }
        else
        {
            (Width, Height, _bits) = (Long(info, 4), Long(info, 8), Short(info, 14));
            (_compression, colors) = ((int)Long(info, 16), Long(info, 32));
            _topDown = info[11] == 0xFF; // A height below 0.
            Height = _topDown ? 0 - Height : Height;
        }

        if (_bits is not (1 or 4 or 8 or 16 or 24 or 32))
        {
            throw new InvalidDataException($"it has {_bits} bits a pixel, and 1, 4, 8, 16, 24 and 32 are read");
        }

        if (_compression is < Raw or > BitFields || (_compression == Runs8 && _bits != 8) || (_compression == Runs4 && _bits != 4))
        {
            throw new InvalidDataException($"its compression {_compression} of {_bits} bits a pixel is not read");
        }

        int at = FileHeaderBytes + header;
        if (_compression == BitFields)
        {
            ReadMasks(file, info, ref at);
        }
        else if (_bits == 16)
        {
            _masks = Masks555;
        }
        else if (_bits >= 24)
        {
            _masks = MasksBgr;
        }

        if (_bits <= 8)
        {
            ReadPalette(file, at, colors == 0 ? 1u << _bits : colors, core ? 3 : 4);
        }

        _data = _data == 0 ? at : _data;
    }

    private void ReadMasks(ReadOnlySpan<byte> file, ReadOnlySpan<byte> info, ref int at)
    {
        // A header of 40 bytes has three of them behind it.
        bool inside = info.Length >= 52;
        ReadOnlySpan<byte> stored = inside ? info[40..] : file[at..];
        int count = info.Length >= 56 ? 4 : 3;
        at += inside ? 0 : 12;
        if (stored.Length < 4 * count)
        {
            throw new InvalidDataException("the file ends too early");
        }

        _masks = [.. Enumerable.Range(0, 4).Select(_ => 0u)];
        for (int i = 0; i < count; i++)
        {
            _masks[i] = Long(stored, 4 * i);
        }

        uint[] masks = _masks;
        bool known = _bits == 32 ? Masks32.Any(m => m.AsSpan().SequenceEqual(masks))
            : (_bits == 24 && masks.AsSpan(0, 3).SequenceEqual(MasksBgr))
            || (_bits == 16 && (masks.AsSpan(0, 3).SequenceEqual(Masks565) || masks.AsSpan(0, 3).SequenceEqual(Masks555)));
        if (!known)
        {
            throw new InvalidDataException(
                $"its channels lie at {string.Join(", ", masks.Take(count).Select(m => $"{m:X}"))} of {_bits} bits, which is not read");
        }

        _masks = masks.All(m => m == 0) ? MasksBgr : masks;
    }

    /// <summary>Colours that a file lacks are black; where those it has are the grey ramp, an index is a brightness.</summary>
    private void ReadPalette(ReadOnlySpan<byte> file, int at, uint colors, int bytes)
    {
        if (colors > 65536)
        {
            throw new InvalidDataException($"its palette has {colors} colours");
        }

        bool grey = true;
        for (int i = 0; i < colors && i < 256; i++)
        {
            ReadOnlySpan<byte> color = at + (i * bytes) + 3 <= file.Length ? file.Slice(at + (i * bytes), 3) : default;
            int brightness = colors == 2 ? 255 * i : i;
            grey &= color.Length == 3 && color[0] == brightness && color[1] == brightness && color[2] == brightness;
            for (int channel = 0; channel < color.Length; channel++)
            {
                _palette[(i * 3) + channel] = color[2 - channel];
            }
        }

        for (int i = (int)colors; grey && i < 256; i++)
        {
            _palette.AsSpan(i * 3, 3).Fill((byte)i);
        }

        // Some writers say that the pixels begin where the palette does.
        _data = Long(file, 10) == FileHeaderBytes + Long(file, FileHeaderBytes) ? _data + (bytes * (int)colors) : _data;
    }

    private void DecodeRow(ReadOnlySpan<byte> source, int bits, Span<byte> row)
    {
        for (int x = 0; x < row.Length / 4; x++)
        {
            Span<byte> pixel = row.Slice(x * 4, 4);
            pixel[3] = 255;
            if (bits <= 8)
            {
                int index = (source[x * bits / 8] >> (8 - bits - (x * bits % 8))) & ((1 << bits) - 1);
                _palette.AsSpan(index * 3, 3).CopyTo(pixel);
                continue;
            }

            int at = x * (bits / 8);
            uint value = source[at] | ((uint)source[at + 1] << 8) | (bits > 16 ? (uint)source[at + 2] << 16 : 0)
                | (bits > 24 ? (uint)source[at + 3] << 24 : 0);
            for (int channel = 0; channel < 3; channel++)
            {
                int shift = BitOperations.TrailingZeroCount(_masks[channel]);
                uint most = _masks[channel] >> shift, part = (value & _masks[channel]) >> shift;
                pixel[channel] = (byte)(most == 255 ? part : part * 255 / most);
            }
        }
    }

    /// <summary>Undoes run lengths, to an index a pixel: what is skipped has index 0.</summary>
    private byte[] Expand(ReadOnlySpan<byte> file, int width, int height)
    {
        bool four = _compression == Runs4;
        var pixels = new byte[width * height];
        long done = 0;
        int at = _data, column = 0;
        while (done < pixels.Length && at + 2 <= file.Length)
        {
            (int count, int what) = (file[at], file[at + 1]);
            at += 2;
            if (count > 0)
            {
                count = Math.Min(count, Math.Max(0, width - column));
                for (int i = 0; i < count; i++)
                {
                    Put(pixels, ref done, four ? i % 2 == 0 ? what >> 4 : what & 15 : what);
                }

                column += count;
            }
            else if (what == 0)
            {
                (done, column) = ((done + width - 1) / width * width, 0);
            }
            else if (what == 1)
            {
                break;
            }
            else if (what == 2)
            {
                if (at + 2 > file.Length)
                {
                    break;
                }

                done += file[at] + ((long)file[at + 1] * width);
                (column, at) = ((int)(done % width), at + 2);
            }
            else
            {
                int bytes = four ? what / 2 : what;
                ReadOnlySpan<byte> plain = file[at..Math.Min(at + bytes, file.Length)];
                foreach (byte value in plain)
                {
                    Put(pixels, ref done, four ? value >> 4 : value);
                    if (four)
                    {
                        Put(pixels, ref done, value & 15);
                    }
                }

                // To an even place of the file.
                (column, at) = (column + what, at + plain.Length);
                at += at % 2;
            }
        }

        return done >= pixels.Length ? pixels : throw new InvalidDataException("the file ends too early");
    }

    private static void Put(byte[] pixels, ref long done, int index)
    {
        if (done < pixels.Length)
        {
            pixels[done] = (byte)index;
        }

        done++;
    }

    private static uint Long(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static ushort Short(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);
}
