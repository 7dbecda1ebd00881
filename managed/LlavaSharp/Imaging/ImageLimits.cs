namespace LlavaSharp.Imaging;

/// <summary>What a picture may cost before it is decoded. All three are read from its header.</summary>
/// <param name="MaxBytes">Largest encoded file, in bytes.</param>
/// <param name="MaxPixels">Largest width × height, in pixels.</param>
public sealed record ImageLimits(long MaxBytes, long MaxPixels)
{
    /// <summary>256 MiB and 178,956,970 pixels, the count above which Pillow refuses a picture.</summary>
    public static ImageLimits Default { get; } = new(256L << 20, 178_956_970);

    /// <summary>
    /// Longest side, in pixels. A strip of one pixel by 178 million passes the other two limits, yet
    /// resizing it needs filters millions of taps wide.
    /// </summary>
    public int MaxSide { get; init; } = 1 << 20;
}
