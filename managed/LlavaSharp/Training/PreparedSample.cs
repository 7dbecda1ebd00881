using LlavaSharp.Data;
using LlavaSharp.Imaging;

namespace LlavaSharp.Training;

/// <summary>A sample that is ready for a batch.</summary>
/// <param name="Index">Its index in the training file.</param>
/// <param name="Name">How messages call it, such as <c>sample 12 (id "a")</c>.</param>
/// <param name="Text">Ids, −200 where the image goes, and labels.</param>
/// <param name="Images">Each image, in the order of the marks; empty for text alone.</param>
public sealed record PreparedSample(int Index, string Name, TokenizedSample Text, IReadOnlyList<PreparedImage> Images)
{
    /// <summary>Why the sample is left out (<c>--on_bad_sample skip</c>); null for one that is trained.</summary>
    public SampleProblem? Problem { get; init; }

    /// <summary>A sample that is left out.</summary>
    /// <param name="problem">Why.</param>
    /// <returns>The sample, empty.</returns>
    public static PreparedSample Skipped(SampleProblem problem) =>
        new(problem.Index, $"sample {problem.Index}", new TokenizedSample([], []), []) { Problem = problem };
}
