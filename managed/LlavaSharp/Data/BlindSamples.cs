namespace LlavaSharp.Data;

/// <summary>
/// Counts the samples whose turns mark a picture that they do not have, and keeps the first. A mark within a line counts only where
/// most samples of the file have one: one text in many is about HTML, but a file of them has lost its pictures.
/// </summary>
public sealed class BlindSamples
{
    private int _samples, _asking, _saying;

    private SampleProblem? _firstAsking, _firstSaying;

    /// <summary>Whether more than half of the samples say a mark and have no picture, so that none of them is taken for text.</summary>
    public bool AreMost => 2 * _saying > _samples;

    /// <summary>How many there are.</summary>
    public int Count => AreMost ? _saying : _asking;

    /// <summary>The first of them, with its own name where it has one; null where there is none.</summary>
    public SampleProblem? First => AreMost ? _firstSaying : _firstAsking;

    /// <summary>Counts a sample.</summary>
    internal void Look(Sample sample, int index)
    {
        _samples++;
        if (PictureMarks.Missing(sample, anywhere: true) is { } said)
        {
            _saying++;
            _firstSaying ??= Problem(sample, index, said);
        }

        if (PictureMarks.Missing(sample) is { } asked)
        {
            _asking++;
            _firstAsking ??= Problem(sample, index, asked);
        }
    }

    private static SampleProblem Problem(Sample sample, int index, string missing)
    {
        var name = sample.Id is null ? "" : $" (id \"{sample.Id}\")";
        return new(index, SampleFault.MarkWithoutImage, $"sample {index}{name}: {missing}");
    }
}
