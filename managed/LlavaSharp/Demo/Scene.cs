namespace LlavaSharp.Demo;

/// <summary>A scene: a picture's size and what stands on it.</summary>
/// <param name="Width">Columns, in pixels.</param>
/// <param name="Height">Rows, in pixels.</param>
/// <param name="Layout">Which grid the cells belong to.</param>
/// <param name="Background">Colour behind the shapes.</param>
/// <param name="Objects">One to three shapes, in reading order: left to right, then top to bottom.</param>
public sealed record Scene(
    int Width,
    int Height,
    SceneLayout Layout,
    (byte Red, byte Green, byte Blue) Background,
    IReadOnlyList<SceneObject> Objects)
{
    /// <summary>Cells a side of the grid that 56 pixels make with patches of 14.</summary>
    public const int Cells = 4;

    /// <summary>Where the grid's top left corner lies on the picture and how large a cell is, in pixels.</summary>
    public (double Left, double Top, double Cell) Grid
    {
        get
        {
            int side = Layout == SceneLayout.CenterCrop ? Math.Min(Width, Height) : Math.Max(Width, Height);
            return ((Width - side) / 2.0, (Height - side) / 2.0, (double)side / Cells);
        }
    }

    /// <summary>Whether a cell lies wholly inside the picture.</summary>
    /// <param name="column">Grid column.</param>
    /// <param name="row">Grid row.</param>
    public bool Contains(int column, int row)
    {
        const double Slack = 1e-9;
        (double left, double top, double cell) = Grid;
        double x = left + (column * cell);
        double y = top + (row * cell);
        return x >= -Slack && y >= -Slack && x + cell <= Width + Slack && y + cell <= Height + Slack;
    }
}
