namespace LlavaSharp.Imaging;

/// <summary>The two inner loops of a resize. Every implementation gives the same bytes: sums are whole numbers of 32 bits.</summary>
internal unsafe interface IResampleKernel
{
    /// <summary>Rows of bytes that the vertical pass reads and writes are this many bytes or a multiple.</summary>
    const int Lane = 32;

    /// <summary>Four rows through the horizontal filter.</summary>
    /// <param name="axis">The filter.</param>
    /// <param name="rows">Four rows of four bytes a pixel; rows may be equal.</param>
    /// <param name="color">Canvas around the source: red, green, blue, 0.</param>
    /// <param name="output">Four rows [outputs, 3], each with one byte to spare; equal where <paramref name="rows"/> are.</param>
    static abstract void Horizontal(ResampleAxis axis, byte** rows, int* color, byte** output);

    /// <summary>One row of the vertical filter.</summary>
    /// <param name="rows">The rows that are read.</param>
    /// <param name="weights">Their weights.</param>
    /// <param name="count">How many.</param>
    /// <param name="output">Where it goes.</param>
    /// <param name="bytes">Length of every row, a multiple of <see cref="Lane"/>.</param>
    static abstract void Vertical(byte** rows, int* weights, int count, byte* output, int bytes);
}
