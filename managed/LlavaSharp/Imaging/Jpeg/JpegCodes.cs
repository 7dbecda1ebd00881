namespace LlavaSharp.Imaging.Jpeg;

/// <summary>
/// A Huffman table of a JPEG file. A symbol says how many zeros come first and how many bits of value follow; where code
/// and value together are short, which is nearly always, one look gives both.
/// </summary>
internal sealed class JpegCodes
{
    /// <summary>Bits that one look covers: a table of 32 KiB, which the first cache holds.</summary>
    public const int LookBits = 13;

    /// <summary>The run of an entry that ends the block.</summary>
    public const int EndOfBlock = 64;

    private readonly int[] _end = new int[18];    // one past the last code of a length, left-aligned in 16 bits
    private readonly int[] _offset = new int[17]; // symbol index less first code, of a length
    private readonly byte[] _symbols;

    private JpegCodes(byte[] symbols) => _symbols = symbols;

    /// <summary>For the next <see cref="LookBits"/> bits: value in the upper 16 bits, run in the next 8, bits used in the
    /// lowest 8; 0 where more bits are needed.</summary>
    public int[] Look { get; } = new int[1 << LookBits];

    /// <summary>Builds a table.</summary>
    /// <param name="counts">[16] codes of 1 … 16 bits.</param>
    /// <param name="symbols">Their symbols, in the codes' order.</param>
    /// <returns>Null when the counts are impossible.</returns>
    public static JpegCodes? Create(ReadOnlySpan<byte> counts, ReadOnlySpan<byte> symbols)
    {
        JpegCodes codes = new(symbols.ToArray());
        int code = 0;
        int index = 0;
        for (int length = 1; length <= 16; length++)
        {
            codes._offset[length] = index - code;
            for (int i = 0; i < counts[length - 1]; i++, code++, index++)
            {
                if (code >= 1 << length)
                {
                    return null;
                }

                codes.AddLook(code, length, symbols[index]);
            }

            codes._end[length] = code << (16 - length);
            code <<= 1;
        }

        codes._end[17] = int.MaxValue;
        return codes;
    }

    /// <summary>The slow way, for long codes.</summary>
    /// <param name="sixteen">The next 16 bits.</param>
    /// <returns>Symbol and code length; length 0 when there is no such code.</returns>
    public (int Symbol, int Length) Find(int sixteen)
    {
        int length = 1;
        while (length <= 16 && sixteen >= _end[length])
        {
            length++;
        }

        return length > 16 ? (0, 0) : (_symbols[(sixteen >> (16 - length)) + _offset[length]], length);
    }

    /// <summary>A value from its bits: the lower half of a size is negative.</summary>
    public static int Extend(int bits, int size) => bits < 1 << (size - 1) ? bits - (1 << size) + 1 : bits;

    /// <summary>Zeros before the value; no value and no full run ends the block.</summary>
    public static int RunOf(int symbol) => (symbol & 15) == 0 && symbol != 0xF0 ? EndOfBlock : symbol >> 4;

    private void AddLook(int code, int length, int symbol)
    {
        int size = symbol & 15;
        int free = LookBits - length - size;
        if (free < 0)
        {
            return;
        }

        for (int bits = 0; bits < 1 << size; bits++)
        {
            int value = size == 0 ? 0 : Extend(bits, size);
            int entry = (value << 16) | (RunOf(symbol) << 8) | (length + size);
            int first = ((code << size) | bits) << free;
            Look.AsSpan(first, 1 << free).Fill(entry);
        }
    }
}
