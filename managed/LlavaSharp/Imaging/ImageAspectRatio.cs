namespace LlavaSharp.Imaging;

/// <summary>How a picture that is not square becomes one: the recipe's <c>--image_aspect_ratio</c>.</summary>
public enum ImageAspectRatio
{
    /// <summary>Resize the shortest edge, then crop the centre: the ends of the long side are lost.</summary>
    Square,

    /// <summary>Pad to a square with the mean colour, then resize: nothing is lost.</summary>
    Pad,
}
