namespace LlavaSharp.Training;

/// <summary>What becomes of an image's size.</summary>
/// <param name="Width">Columns of the file.</param>
/// <param name="Height">Rows of the file.</param>
/// <param name="Side">Side of the square that the tower reads.</param>
/// <param name="AspectRatio">How it becomes square: square or pad.</param>
/// <param name="Rows">Tokens that the tower makes of it.</param>
public sealed record ImageSizes(int Width, int Height, int Side, string AspectRatio, int Rows);
