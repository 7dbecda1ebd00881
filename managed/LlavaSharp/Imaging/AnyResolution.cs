using System.Diagnostics;

namespace LlavaSharp.Imaging;

/// <summary>
/// Sizes of the <c>anyres</c> mode (LLaVA-1.6): a picture is seen whole, and once more in tiles of the tower's size, on the
/// canvas among a few that suits it best. All arithmetic is float64 in the originals' order: 375 · 1.344 is above 504.
/// </summary>
public sealed record AnyResolution
{
    /// <summary>A canvas and the picture's place on it.</summary>
    /// <param name="original">The picture, in pixels.</param>
    /// <param name="canvases">Canvas sizes to choose from: <c>image_grid_pinpoints</c>, multiples of <paramref name="tile"/>.</param>
    /// <param name="tile">The tower's side, in pixels.</param>
    /// <exception cref="UserErrorException">No canvas is given, or one is not made of whole tiles.</exception>
    public AnyResolution((int Width, int Height) original, IReadOnlyList<(int Width, int Height)> canvases, int tile)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(original.Width, 1, nameof(original));
        ArgumentOutOfRangeException.ThrowIfLessThan(original.Height, 1, nameof(original));
        ArgumentOutOfRangeException.ThrowIfLessThan(tile, 1);
        if (canvases.Count == 0)
        {
            throw new UserErrorException("image_grid_pinpoints is empty: anyres needs at least one [width, height]");
        }

        foreach ((int width, int height) in canvases)
        {
            if (width < tile || height < tile || width % tile != 0 || height % tile != 0)
            {
                throw new UserErrorException(
                    $"image_grid_pinpoints has [{width}, {height}]: both must be multiples of the tower's {tile} pixels");
            }
        }

        Original = original;
        Canvas = Best(original, canvases);
        Grid = (Canvas.Width / tile, Canvas.Height / tile);
        Resized = Fit(original, Canvas);
        Tile = tile;
    }

    /// <summary>The canvases of NeuralChat's scripts.</summary>
    public static IReadOnlyList<(int Width, int Height)> NeuralChat { get; } = [(336, 336), (672, 672), (336, 1344), (1344, 336)];

    /// <summary>The canvases of LLaVA-1.6's published checkpoints.</summary>
    public static IReadOnlyList<(int Width, int Height)> Llava16 { get; } = [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)];

    /// <summary>The picture, in pixels.</summary>
    public (int Width, int Height) Original { get; }

    /// <summary>The canvas, in pixels.</summary>
    public (int Width, int Height) Canvas { get; }

    /// <summary>The canvas, in tiles.</summary>
    public (int Columns, int Rows) Grid { get; }

    /// <summary>The picture on it, in pixels; centred, black around it.</summary>
    public (int Width, int Height) Resized { get; }

    /// <summary>A tile's side, in pixels.</summary>
    public int Tile { get; }

    /// <summary>Tiles that the tower sees: the whole picture's, then the canvas's from left to right, from top to bottom.</summary>
    public int TileCount => 1 + (Grid.Columns * Grid.Rows);

    /// <summary>The part of the canvas's feature rows and columns that shows the picture.</summary>
    /// <param name="side">Feature rows (and columns) of a tile.</param>
    /// <returns>First row and column, rows, columns.</returns>
    public (int Top, int Left, int Rows, int Columns) Unpadded(int side)
    {
        (int columns, int rows) = (Grid.Columns * side, Grid.Rows * side);
        if ((double)Original.Width / Original.Height > (double)columns / rows)
        {
            int kept = (int)(Original.Height * ((double)columns / Original.Width));
            int top = (rows - kept) / 2;
            return (top, 0, rows - (2 * top), columns);
        }
        else
        {
            int kept = (int)(Original.Width * ((double)rows / Original.Height));
            int left = (columns - kept) / 2;
            return (0, left, rows, columns - (2 * left));
        }
    }

    // Most of the picture's own pixels, then least canvas wasted, then the first.
    private static (int Width, int Height) Best((int Width, int Height) original, IReadOnlyList<(int Width, int Height)> canvases)
    {
        (int Width, int Height) best = canvases[0];
        (long effective, long wasted) = (-1, long.MaxValue);
        foreach ((int width, int height) in canvases)
        {
            double scale = Math.Min((double)width / original.Width, (double)height / original.Height);
            long shown = (long)(int)(original.Width * scale) * (int)(original.Height * scale);
            shown = Math.Min(shown, (long)original.Width * original.Height);
            long lost = ((long)width * height) - shown;
            if (shown > effective || (shown == effective && lost < wasted))
            {
                (best, effective, wasted) = ((width, height), shown, lost);
            }
        }

        Debug.Assert(effective >= 0, "a canvas was chosen");
        return best;
    }

    private static (int Width, int Height) Fit((int Width, int Height) original, (int Width, int Height) canvas)
    {
        double across = (double)canvas.Width / original.Width, down = (double)canvas.Height / original.Height;
        return across < down
            ? (canvas.Width, Math.Min((int)Math.Ceiling(original.Height * across), canvas.Height))
            : (Math.Min((int)Math.Ceiling(original.Width * down), canvas.Width), canvas.Height);
    }
}
