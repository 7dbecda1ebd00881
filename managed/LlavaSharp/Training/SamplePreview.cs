using LlavaSharp.Data;

namespace LlavaSharp.Training;

/// <summary>A sample as the model will see it.</summary>
/// <param name="Index">Its index in the file.</param>
/// <param name="Id">Its own name, if it has one.</param>
/// <param name="Text">The prompt's text, <c>&lt;image&gt;</c> where an image goes.</param>
/// <param name="Tokens">Ids, −200 where an image goes, and labels.</param>
/// <param name="Images">The images' paths, in order.</param>
/// <param name="Sizes">Their sizes, or null where they were not asked for.</param>
public sealed record SamplePreview(
    int Index, string? Id, string Text, TokenizedSample Tokens, IReadOnlyList<string> Images, IReadOnlyList<ImageSizes?> Sizes);
