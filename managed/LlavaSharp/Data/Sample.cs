namespace LlavaSharp.Data;

/// <summary>One sample of a LLaVA data file.</summary>
/// <param name="Id">The sample's own name, if it has one; a number is given as it is written.</param>
/// <param name="Images">Paths of the pictures below the image folder, in the order of their marks; empty for a text-only sample.</param>
/// <param name="Conversations">The turns as the file has them.</param>
public sealed record Sample(string? Id, IReadOnlyList<string> Images, IReadOnlyList<Turn> Conversations)
{
    /// <summary>A sample with one picture, or with none.</summary>
    /// <param name="id">The sample's own name.</param>
    /// <param name="image">Path of the picture; null for a text-only sample.</param>
    /// <param name="conversations">The turns.</param>
    public Sample(string? id, string? image, IReadOnlyList<Turn> conversations)
        : this(id, image is null ? (IReadOnlyList<string>)[] : [image], conversations)
    {
    }

    /// <summary>
    /// Of a sample without pictures whose turns mark one: the key that seems to name it, but is not read or is empty, such as
    /// <c>image_path</c>; null where there is none.
    /// </summary>
    public string? UnreadPictureKey { get; init; }
}
