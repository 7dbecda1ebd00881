namespace LlavaSharp.Data;

/// <summary>What can be wrong with a sample; the names are those of the report.</summary>
public enum SampleFault
{
    /// <summary>No conversation, a key twice, a value of the wrong kind.</summary>
    Malformed,

    /// <summary>Text that is no UTF-8, or half a surrogate pair.</summary>
    BadText,

    /// <summary>Human and gpt do not take turns, or somebody else speaks.</summary>
    RoleOrder,

    /// <summary>Nothing that the model would learn to say.</summary>
    NoAnswer,

    /// <summary>More image marks than images, or a mark that asks for something else, as a video.</summary>
    MarkWithoutImage,

    /// <summary>More images than image marks.</summary>
    ImageWithoutMark,

    /// <summary>Longer than the longest sequence, image rows included.</summary>
    TooLong,

    /// <summary>The same images and turns as an earlier sample. A note: rows are repeated to weigh more.</summary>
    Duplicate,

    /// <summary>The image's file does not exist, cannot be read, or lies outside the image folder.</summary>
    ImageMissing,

    /// <summary>The image's file has no bytes.</summary>
    ImageEmpty,

    /// <summary>The image's data ends too early or is damaged.</summary>
    ImageDamaged,

    /// <summary>The file is no picture, or of a format that is not read.</summary>
    NotAnImage,

    /// <summary>The file is a TIFF picture, which is not read.</summary>
    Tiff,

    /// <summary>The picture has more pixels or bytes than allowed.</summary>
    TooManyPixels,

    /// <summary>The name says another format than the content. A note: the content decides.</summary>
    WrongExtension,
}
