using LlavaSharp.Interop;

namespace LlavaSharp.Training;

/// <summary>A micro-batch laid out as the engine takes it: B samples end to end as one run of T tokens, nothing padded.</summary>
/// <param name="Tokens">[T] ids; 0 where an image row goes, which the engine does not read,
/// <see cref="PackedBatch.ImageNewline"/> where that row goes.</param>
/// <param name="Labels">[T] ids or −100.</param>
/// <param name="Positions">[T] positions within the sample, from 0.</param>
/// <param name="SequenceStarts">[B + 1] first token of each sample, then T.</param>
/// <param name="ImageSlots">[N · L] token that each image row replaces; −1 where truncation cut it off.</param>
/// <param name="Pixels">[N, 3, S, S] of the images that are left.</param>
/// <param name="SupervisedTokens">Labels that count: not −100, and not a sample's first token, which nothing predicts.</param>
public sealed record BatchLayout(
    int[] Tokens, int[] Labels, int[] Positions, int[] SequenceStarts, int[] ImageSlots, float[] Pixels, int SupervisedTokens)
{
    /// <summary>Samples in the batch.</summary>
    public int SampleCount => SequenceStarts.Length - 1;

    /// <summary>The engine's view of these arrays; nothing is copied.</summary>
    /// <returns>The batch.</returns>
    public PackedBatch ToPacked() => new()
    {
        Tokens = Tokens,
        Labels = Labels,
        Positions = Positions,
        CuSeqlens = SequenceStarts,
        ImageSlots = ImageSlots,
        Pixels = Pixels,
    };
}
