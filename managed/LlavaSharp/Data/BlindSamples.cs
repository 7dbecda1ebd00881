namespace LlavaSharp.Data;

/// <summary>Counts the samples whose turns mark a picture that they do not have, and keeps the first.</summary>
public sealed class BlindSamples
{
    /// <summary>How many there are.</summary>
    public int Count { get; private set; }

    /// <summary>The first of them, with its own name where it has one; null where there is none.</summary>
    public SampleProblem? First { get; private set; }

    /// <summary>Counts a sample, if it is one.</summary>
    internal void Look(Sample sample, int index)
    {
        if (PictureMarks.Missing(sample) is { } missing)
        {
            var name = sample.Id is null ? "" : $" (id \"{sample.Id}\")";
            First ??= new(index, SampleFault.MarkWithoutImage, $"sample {index}{name}: {missing}");
            Count++;
        }
    }
}
