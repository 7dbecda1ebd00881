namespace LlavaSharp.Imaging;

/// <summary>Which feature row of which tile each image token of an <c>anyres</c> picture shows.</summary>
public static class AnyResolutionLayout
{
    /// <summary>The token that is <c>image_newline</c>, no feature row.</summary>
    public const int Newline = -1;

    /// <summary>The rows of a picture's tokens, in order.</summary>
    /// <param name="picture">Its sizes.</param>
    /// <param name="side">Feature rows (and columns) of a tile: 24 of a tower of 336 pixels and patches of 14.</param>
    /// <param name="merge">How they are merged.</param>
    /// <returns>For each token: tile · side² + row · side + column, or <see cref="Newline"/>.</returns>
    public static int[] Rows(AnyResolution picture, int side, PatchMerge merge)
    {
        int whole = side * side;
        List<int> rows = [.. Enumerable.Range(0, merge == PatchMerge.Flat ? picture.TileCount * whole : whole)];
        if (merge == PatchMerge.Flat)
        {
            return [.. rows];
        }

        (int top, int left, int height, int width) = merge == PatchMerge.SpatialUnpad
            ? picture.Unpadded(side)
            : (0, 0, picture.Grid.Rows * side, picture.Grid.Columns * side);
        for (int y = top; y < top + height; y++)
        {
            for (int x = left; x < left + width; x++)
            {
                int tile = 1 + (y / side * picture.Grid.Columns) + (x / side);
                rows.Add((tile * whole) + (y % side * side) + (x % side));
            }

            if (merge == PatchMerge.SpatialUnpad)
            {
                rows.Add(Newline);
            }
        }

        return [.. rows];
    }
}
