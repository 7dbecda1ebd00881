namespace LlavaSharp.Imaging;

/// <summary>A picture as a model takes it.</summary>
/// <param name="Pixels">[T, 3, S, S] normalised pixels of its T tiles; one tile unless the mode is anyres.</param>
/// <param name="Rows">The feature row that each of its tokens shows, counted over the tiles, or
/// <see cref="AnyResolutionLayout.Newline"/>; null: every row of the one tile, in order.</param>
/// <param name="Tiles">T.</param>
public sealed record PreparedImage(float[] Pixels, int[]? Rows = null, int Tiles = 1);
