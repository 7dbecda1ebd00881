namespace LlavaSharp.Demo;

/// <summary>A shape of a drawn scene: what it is and in which cell of the 4 × 4 patch grid it lies.</summary>
/// <param name="Kind">What is drawn.</param>
/// <param name="Color">Its colour's index in <see cref="SceneColors"/>.</param>
/// <param name="Column">Grid column, 0 … 3 from the left.</param>
/// <param name="Row">Grid row, 0 … 3 from the top.</param>
/// <param name="OffsetX">How far the centre lies from the cell's centre, in cells, to the right.</param>
/// <param name="OffsetY">The same, downwards.</param>
/// <param name="Radius">Half of the shape's extent, in cells.</param>
public sealed record SceneObject(
    SceneShape Kind, int Color, int Column, int Row, double OffsetX, double OffsetY, double Radius)
{
    /// <summary>Shape and colour as one number, for keeping combinations apart.</summary>
    public int Identity => ((int)Kind * SceneColors.Count) + Color;

    /// <summary>"red circle".</summary>
    public string Name => $"{SceneColors.Name(Color)} {ShapeName}";

    /// <summary>"circle".</summary>
    public string ShapeName => SceneWords.Shape(Kind);
}
