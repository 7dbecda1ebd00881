namespace LlavaSharp.Demo;

/// <summary>
/// Where a stage's image mode puts the 4 × 4 patch grid on a picture that is not square, and so where shapes
/// may stand to be seen whole, each in its own patch.
/// </summary>
public enum SceneLayout
{
    /// <summary>Stage 1 crops the centre: the grid covers the central square, all 16 cells can be used.</summary>
    CenterCrop,

    /// <summary>Stage 2 pads to a square: the grid covers the padded square, cells inside the picture can be used.</summary>
    Pad,
}
