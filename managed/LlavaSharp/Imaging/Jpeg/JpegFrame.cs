using System.Buffers.Binary;

namespace LlavaSharp.Imaging.Jpeg;

/// <summary>
/// What a JPEG file says before its pixels begin (ITU-T T.81), read only for the kind that nearly all photographs are:
/// baseline, eight bits, one scan, no restarts; grey, or YCbCr with both chroma planes halved alike or not at all.
/// </summary>
internal sealed class JpegFrame
{
    /// <summary>Order in which coefficients are stored: index in the stream → row · 8 + column.</summary>
    public static readonly byte[] ZigZag =
    [
        0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
        35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
    ];

    private readonly int[]?[] _quantisers = new int[4][];
    private readonly JpegCodes?[] _dc = new JpegCodes[4];
    private readonly JpegCodes?[] _ac = new JpegCodes[4];
    private byte[] _ids = [];
    private byte[] _quantiserOf = [];
    private bool _jfif;
    private int _adobe = -1;

    private JpegFrame()
    {
    }

    public int Width { get; private set; }

    public int Height { get; private set; }

    /// <summary>1 or 3.</summary>
    public int Components => _ids.Length;

    /// <summary>Luma samples for each chroma sample, across: 1 or 2.</summary>
    public int Across { get; private set; } = 1;

    /// <summary>The same, down.</summary>
    public int Down { get; private set; } = 1;

    /// <summary>Where the scan's bits begin.</summary>
    public int DataBegin { get; private set; }

    /// <summary>Each component's [64] quantiser, in row-major order.</summary>
    public int[][] Quantisers { get; private set; } = [];

    /// <summary>Each component's codes.</summary>
    public (JpegCodes Dc, JpegCodes Ac)[] Codes { get; private set; } = [];

    /// <summary>Reads a file's markers up to its scan.</summary>
    /// <param name="file">The whole file.</param>
    /// <returns>Null when the file is of another kind, or damaged: another decoder has the last word there.</returns>
    public static JpegFrame? Read(ReadOnlySpan<byte> file)
    {
        JpegFrame frame = new();
        int at = 2;
        while (at + 4 <= file.Length && file[at] == 0xFF)
        {
            byte marker = file[at + 1];
            int length = BinaryPrimitives.ReadUInt16BigEndian(file[(at + 2)..]);
            if (length < 2 || at + 2 + length > file.Length)
            {
                return null;
            }

            ReadOnlySpan<byte> body = file.Slice(at + 4, length - 2);
            at += 2 + length;
            if (marker == 0xDA)
            {
                frame.DataBegin = at;
                return frame.Scan(body) ? frame : null;
            }

            if (!frame.Segment(marker, body))
            {
                return null;
            }
        }

        return null;
    }

    private bool Segment(byte marker, ReadOnlySpan<byte> body)
    {
        switch (marker)
        {
            case 0xC0:
                return Width == 0 && Frame(body);
            case 0xC4:
                return HuffmanTables(body);
            case 0xDB:
                return QuantiserTables(body);
            case 0xE0:
                _jfif |= body.Length >= 14 && body.StartsWith("JFIF\0"u8);
                return true;
            case 0xEE:
                _adobe = body.Length >= 12 && body.StartsWith("Adobe"u8) ? body[11] : _adobe;
                return true;
            default:
                // Comments and application data. Another frame type, arithmetic codes or restarts are not for us.
                return marker is 0xFE or (>= 0xE1 and <= 0xEF);
        }
    }

    private bool Frame(ReadOnlySpan<byte> body)
    {
        if (body.Length < 6 || body[0] != 8 || body[5] is not (1 or 3) || body.Length != 6 + (3 * body[5]))
        {
            return false;
        }

        (Height, Width) = (BinaryPrimitives.ReadUInt16BigEndian(body[1..]), BinaryPrimitives.ReadUInt16BigEndian(body[3..]));
        int count = body[5];
        _ids = new byte[count];
        _quantiserOf = new byte[count];
        for (int i = 0; i < count; i++)
        {
            (_ids[i], _quantiserOf[i]) = (body[6 + (3 * i)], body[8 + (3 * i)]);
            byte sampling = body[7 + (3 * i)];
            if (i == 0 && count == 3)
            {
                (Across, Down) = (sampling >> 4, sampling & 15);
            }
            else if (sampling != 0x11)
            {
                return false;
            }
        }

        // Chroma planes of one or two columns are widened by another rule than wider ones.
        bool halved = (Across, Down) is (2, 1) or (2, 2);
        return Width > 0 && Height > 0 && ((Across, Down) == (1, 1) || (halved && (Width + 1) / 2 > 2));
    }

    private bool QuantiserTables(ReadOnlySpan<byte> body)
    {
        for (; !body.IsEmpty; body = body[65..])
        {
            if (body[0] > 3 || body.Length < 65)
            {
                return false;
            }

            int[] table = new int[64];
            for (int i = 0; i < 64; i++)
            {
                table[ZigZag[i]] = body[1 + i];
            }

            _quantisers[body[0]] = table;
        }

        return true;
    }

    private bool HuffmanTables(ReadOnlySpan<byte> body)
    {
        while (!body.IsEmpty)
        {
            if (body.Length < 17 || (body[0] & 0xEF) > 3)
            {
                return false;
            }

            int symbols = 0;
            for (int i = 1; i <= 16; i++)
            {
                symbols += body[i];
            }

            if (symbols > 256 || body.Length < 17 + symbols
                || JpegCodes.Create(body.Slice(1, 16), body.Slice(17, symbols)) is not { } codes)
            {
                return false;
            }

            (body[0] >> 4 == 0 ? _dc : _ac)[body[0] & 3] = codes;
            body = body[(17 + symbols)..];
        }

        return true;
    }

    private bool Scan(ReadOnlySpan<byte> body)
    {
        int count = Components;
        bool numbered = _ids.AsSpan().SequenceEqual((ReadOnlySpan<byte>)[1, 2, 3]);
        bool rgb = count == 3 && !_jfif && !(_adobe == 1 || (_adobe < 0 && numbered));
        if (count == 0 || rgb || body.Length != 4 + (2 * count) || body[0] != count
            || !body[(1 + (2 * count))..].SequenceEqual((ReadOnlySpan<byte>)[0, 63, 0]))
        {
            return false;
        }

        Quantisers = new int[count][];
        Codes = new (JpegCodes, JpegCodes)[count];
        for (int i = 0; i < count; i++)
        {
            byte tables = body[2 + (2 * i)];
            if (body[1 + (2 * i)] != _ids[i] || (tables >> 4) > 3 || (tables & 15) > 3 || _quantiserOf[i] > 3
                || _quantisers[_quantiserOf[i]] is not { } quantiser || _dc[tables >> 4] is not { } dc || _ac[tables & 15] is not { } ac)
            {
                return false;
            }

            (Quantisers[i], Codes[i]) = (quantiser, (dc, ac));
        }

        return true;
    }
}
