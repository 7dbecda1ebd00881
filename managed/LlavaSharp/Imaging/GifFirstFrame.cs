using System.Buffers.Binary;

namespace LlavaSharp.Imaging;

/// <summary>
/// The first frame of a GIF file as Pillow's <c>convert("RGB")</c> gives it (GIF89a specification): every pixel has its palette's
/// colour, a transparent one too, and a frame smaller than the canvas lies on the transparent colour, or else on the first one.
/// Other decoders make such pixels black.
/// </summary>
internal sealed class GifFirstFrame
{
    private const int HeaderBytes = 13, DescriptorBytes = 9, PaletteBytes = 256 * 3;

    // No palette, or one that is the grey ramp: an index is a brightness then, also one beyond the palette's end.
    private byte[]? _palette;
    private int? _transparent;

    private GifFirstFrame()
    {
    }

    /// <summary>Columns and rows of the canvas.</summary>
    public (int Width, int Height) Canvas { get; private set; }

    /// <summary>Columns and rows of the frame.</summary>
    public (int Width, int Height) Size { get; private set; }

    /// <summary>Where the frame's top left pixel lies on the canvas.</summary>
    public (int Left, int Top) Origin { get; private set; }

    /// <summary>A GIF file of the frame alone, opaque, whose palette has all 256 colours.</summary>
    public byte[] File { get; private set; } = [];

    /// <summary>Whether the frame is the whole canvas.</summary>
    public bool IsWhole => Canvas == Size;

    /// <summary>The colour of the canvas around the frame.</summary>
    public (byte Red, byte Green, byte Blue) Background => Color(_transparent ?? 0);

    /// <summary>Reads a file up to its first frame.</summary>
    /// <param name="file">The whole file.</param>
    /// <returns>Null when the file ends before its first frame does, or has none.</returns>
    public static GifFirstFrame? Read(ReadOnlySpan<byte> file)
    {
        var frame = new GifFirstFrame();
        if (file.Length < HeaderBytes)
        {
            return null;
        }

        frame.Canvas = (Word(file, 6), Word(file, 8));
        int at = HeaderBytes;
        byte[]? global = (file[10] & 0x80) == 0 ? null : ReadPalette(file, file[10], ref at);
        while (at < file.Length && file[at] != ';')
        {
            switch (file[at++])
            {
                case (byte)'!':
                    frame.ReadExtension(file, ref at);
                    break;
                case (byte)',':
                    return frame.ReadFrame(file, at, global) ? frame : null;
            }
        }

        return null;
    }

    /// <summary>Lays the decoded frame onto its canvas.</summary>
    /// <param name="pixels">The frame: [height, width, 4].</param>
    /// <param name="canvas">[height, width, 4].</param>
    public void Paste(DecodedImage pixels, DecodedImage canvas)
    {
        (byte red, byte green, byte blue) = Background;
        Span<byte> whole = canvas.Bytes;
        for (int i = 0; i < whole.Length; i += 4)
        {
            (whole[i], whole[i + 1], whole[i + 2], whole[i + 3]) = (red, green, blue, 255);
        }

        for (int y = 0; y < Size.Height; y++)
        {
            Span<byte> row = whole[((((Origin.Top + y) * Canvas.Width) + Origin.Left) * 4)..];
            pixels.Bytes.Slice(y * Size.Width * 4, Size.Width * 4).CopyTo(row);
        }
    }

    private void ReadExtension(ReadOnlySpan<byte> file, ref int at)
    {
        const byte GraphicControl = 0xF9;
        if (at + 5 < file.Length && file[at] == GraphicControl && file[at + 1] >= 4 && (file[at + 2] & 1) != 0)
        {
            _transparent = file[at + 5];
        }

        at = AfterBlocks(file, at + 1);
    }

    private bool ReadFrame(ReadOnlySpan<byte> file, int at, byte[]? global)
    {
        if (file.Length - at < DescriptorBytes)
        {
            return false;
        }

        Origin = (Word(file, at), Word(file, at + 2));
        Size = (Word(file, at + 4), Word(file, at + 6));
        byte flags = file[at + 8];
        at += DescriptorBytes;

        // Pillow takes the global palette where the frame's own is a part of the grey ramp.
        _palette = ((flags & 0x80) == 0 ? null : ReadPalette(file, flags, ref at)) ?? global;
        if (at >= file.Length || Size is not ( > 0, > 0))
        {
            return false;
        }

        // The canvas grows with a frame that reaches past it.
        Canvas = (Math.Max(Canvas.Width, Origin.Left + Size.Width), Math.Max(Canvas.Height, Origin.Top + Size.Height));
        ReadOnlySpan<byte> data = file[at..Math.Min(AfterBlocks(file, at + 1), file.Length)];
        File = new byte[HeaderBytes + PaletteBytes + 1 + DescriptorBytes + data.Length + 1];
        Span<byte> head = File;
        "GIF89a"u8.CopyTo(head);
        WriteSize(head[6..]);
        head[10] = 0xF7; // 256 colours.
        for (int i = 0; i < 256; i++)
        {
            (head[HeaderBytes + (3 * i)], head[HeaderBytes + (3 * i) + 1], head[HeaderBytes + (3 * i) + 2]) = Color(i);
        }

        Span<byte> image = head[(HeaderBytes + PaletteBytes)..];
        image[0] = (byte)',';
        WriteSize(image[5..]);
        image[9] = (byte)(flags & 0x40); // Interlaced or not.
        data.CopyTo(image[(1 + DescriptorBytes)..]);
        image[^1] = (byte)';';
        return true;
    }

    private void WriteSize(Span<byte> at)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(at, (ushort)Size.Width);
        BinaryPrimitives.WriteUInt16LittleEndian(at[2..], (ushort)Size.Height);
    }

    /// <summary>A palette's colours; null for a part of the grey ramp.</summary>
    private static byte[]? ReadPalette(ReadOnlySpan<byte> file, byte flags, ref int at)
    {
        byte[] palette = file[at..Math.Min(at + (3 << ((flags & 7) + 1)), file.Length)].ToArray();
        at += palette.Length;
        return palette.Where((value, i) => value != i / 3).Any() ? palette : null;
    }

    private (byte Red, byte Green, byte Blue) Color(int index) => _palette is null ? ((byte)index, (byte)index, (byte)index)
        : (index * 3) + 3 <= _palette.Length ? (_palette[index * 3], _palette[(index * 3) + 1], _palette[(index * 3) + 2])
        : ((byte)0, (byte)0, (byte)0);

    // Blocks of a length and as many bytes, up to one of none.
    private static int AfterBlocks(ReadOnlySpan<byte> file, int at)
    {
        while (at < file.Length && file[at] != 0)
        {
            at += 1 + file[at];
        }

        return at + 1;
    }

    private static int Word(ReadOnlySpan<byte> file, int at) => BinaryPrimitives.ReadUInt16LittleEndian(file[at..]);
}
