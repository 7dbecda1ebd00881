namespace LlavaSharp.Imaging;

/// <summary>One resize: a source somewhere on a canvas of one colour, resized as a whole, of which a window
/// is wanted. Every output pixel is what it would be had the canvas and the whole result existed.</summary>
internal readonly record struct ResampleJob
{
    /// <summary>Canvas columns and rows.</summary>
    public required (int Width, int Height) Canvas { get; init; }

    /// <summary>Columns and rows that the canvas is resized to.</summary>
    public required (int Width, int Height) Target { get; init; }

    /// <summary>Where the source's top left pixel lies on the canvas.</summary>
    public (int Left, int Top) Origin { get; init; }

    /// <summary>Canvas colour around the source.</summary>
    public (byte Red, byte Green, byte Blue) Background { get; init; }

    /// <summary>The part of the result that is wanted: left, top, columns, rows.</summary>
    public required (int Left, int Top, int Width, int Height) Window { get; init; }
}
