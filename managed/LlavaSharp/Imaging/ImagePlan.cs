namespace LlavaSharp.Imaging;

/// <summary>How a model's pictures become its tokens: one square, or (anyres) the whole picture and tiles of it.</summary>
public sealed record ImagePlan
{
    /// <summary>Makes squares and normalises.</summary>
    public required ImageProcessor Processor { get; init; }

    /// <summary>Rows that the tower gives for a square: side² patches, and the class token where it is kept.</summary>
    public required int TileRows { get; init; }

    /// <summary>How a picture becomes one square; not used with canvases.</summary>
    public ImageAspectRatio Mode { get; init; }

    /// <summary>Canvas sizes of anyres, in pixels; empty: one square a picture.</summary>
    public IReadOnlyList<(int Width, int Height)> Canvases { get; init; } = [];

    /// <summary>How tiles are laid out.</summary>
    public PatchMerge Merge { get; init; }

    /// <summary>Whether a picture is cut into tiles.</summary>
    public bool IsAnyResolution => Canvases.Count > 0;

    private int Side => (int)Math.Sqrt(TileRows);

    /// <summary>Reads, decodes and prepares a file.</summary>
    /// <param name="path">JPEG, PNG, WebP, GIF or BMP.</param>
    /// <returns>Pixels and layout.</returns>
    /// <exception cref="UserErrorException">The file is missing, is not such a picture, is damaged or is past a cap.</exception>
    public PreparedImage Load(string path) =>
        IsAnyResolution ? Prepare(ImageDecoder.Load(path)) : new(Processor.Load(path, Mode));

    /// <summary>Prepares a picture.</summary>
    /// <param name="image">Any size.</param>
    /// <returns>Pixels and layout.</returns>
    public PreparedImage Prepare(RgbImage image)
    {
        if (!IsAnyResolution)
        {
            return new(Processor.Process(image, Mode));
        }

        (float[] pixels, AnyResolution sizes) = AnyResolutionTiles.Cut(Processor, image, Canvases);
        return new(pixels, AnyResolutionLayout.Rows(sizes, Side, Merge), sizes.TileCount);
    }

    /// <summary>Tokens that a picture becomes.</summary>
    /// <param name="width">Its columns, in pixels.</param>
    /// <param name="height">Its rows, in pixels.</param>
    public int TokenCount(int width, int height) => IsAnyResolution
        ? AnyResolutionLayout.Rows(new AnyResolution((width, height), Canvases, Processor.Size), Side, Merge).Length
        : TileRows;

    /// <summary>Tokens that a file's picture becomes; reads no more than its header.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="UserErrorException">The file is missing or is not a picture.</exception>
    public int TokenCount(string path)
    {
        if (!IsAnyResolution)
        {
            return TileRows;
        }

        (int width, int height) = ImageDecoder.Measure(path);
        return TokenCount(width, height);
    }
}
