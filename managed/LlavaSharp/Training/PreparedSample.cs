using LlavaSharp.Data;

namespace LlavaSharp.Training;

/// <summary>A sample that is ready for a batch.</summary>
/// <param name="Index">Its index in the training file.</param>
/// <param name="Name">How messages call it, such as <c>sample 12 (id "a")</c>.</param>
/// <param name="Text">Ids, −200 where the image goes, and labels.</param>
/// <param name="Images">Normalised pixels of each image, [3, S, S], in the order of the marks; empty for text alone.</param>
public sealed record PreparedSample(int Index, string Name, TokenizedSample Text, IReadOnlyList<float[]> Images);
