namespace LlavaSharp.Imaging;

/// <summary>How the rows of a picture's tiles become one run of tokens: the recipe's <c>mm_patch_merge_type</c>.</summary>
public enum PatchMerge
{
    /// <summary>Tile after tile.</summary>
    Flat,

    /// <summary>The whole picture's tile, then the others as one large picture, row by row.</summary>
    Spatial,

    /// <summary>As <see cref="Spatial"/>, without the rows or columns that hold padding alone, and with a learned
    /// <c>image_newline</c> at the end of each row.</summary>
    SpatialUnpad,
}
