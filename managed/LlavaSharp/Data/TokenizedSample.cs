namespace LlavaSharp.Data;

/// <summary>A sample as the model sees it, before the picture's features are spliced in. Both arrays have one entry a token.</summary>
/// <param name="InputIds">Token ids; -200 where an image goes.</param>
/// <param name="Labels">The id to predict at this position, or -100 where nothing is trained. Not shifted.</param>
public sealed record TokenizedSample(int[] InputIds, int[] Labels)
{
    /// <summary>The label of a position that is not trained.</summary>
    public const int IgnoredLabel = -100;

    /// <summary>Whether the recipe's own arithmetic would not come out on this sample, so that it would have masked it whole.</summary>
    public bool RecipeMasks { get; init; }
}
