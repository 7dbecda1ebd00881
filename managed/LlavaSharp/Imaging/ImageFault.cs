namespace LlavaSharp.Imaging;

/// <summary>Why a file is no picture that training can use.</summary>
public enum ImageFault
{
    /// <summary>No such file, or it cannot be read.</summary>
    Missing,

    /// <summary>A file of no bytes.</summary>
    Empty,

    /// <summary>A picture whose data ends too early or is damaged.</summary>
    Damaged,

    /// <summary>Something else than a picture, or of a format that is not read.</summary>
    NotAnImage,

    /// <summary>A TIFF file, which Pillow opens and this decoder does not.</summary>
    Tiff,

    /// <summary>More pixels or bytes than allowed.</summary>
    TooLarge,
}
