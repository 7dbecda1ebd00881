namespace LlavaSharp.Interop;

/// <summary>
/// A micro-batch: B samples laid end to end as one run of T tokens, without padding. Where a sample holds an image, its
/// tokens include one entry an image row, whose id is not read. The engine checks every count and value, and names the
/// one that is wrong.
/// </summary>
public sealed class PackedBatch
{
    /// <summary>The label of a token that is not trained on.</summary>
    public const int IgnoreLabel = Native.IgnoreLabel;

    /// <summary>The entry of <see cref="Tokens"/> where the learned row image_newline goes.</summary>
    public const int ImageNewline = Native.ImageNewline;

    /// <summary>[T] ids in 0 … V-1, or <see cref="ImageNewline"/>.</summary>
    public required ReadOnlyMemory<int> Tokens { get; init; }

    /// <summary>
    /// [T] ids or <see cref="IgnoreLabel"/>, aligned with tokens: labels[t] is predicted at t-1 of the same sample. May be
    /// empty where no loss is asked for.
    /// </summary>
    public ReadOnlyMemory<int> Labels { get; init; }

    /// <summary>[T] rotary positions, from 0 in each sample.</summary>
    public required ReadOnlyMemory<int> Positions { get; init; }

    /// <summary>[B+1] first token of each sample, then T.</summary>
    public required ReadOnlyMemory<int> CuSeqlens { get; init; }

    /// <summary>[N·L] token index that image row r replaces, or -1 where it was cut off; empty without images.</summary>
    public ReadOnlyMemory<int> ImageSlots { get; init; }

    /// <summary>[N,3,S,S] normalised pixels, channel-first; empty without images.</summary>
    public ReadOnlyMemory<float> Pixels { get; init; }

    /// <summary>B.</summary>
    public int SampleCount => Math.Max(CuSeqlens.Length - 1, 0);

    /// <summary>T.</summary>
    public int TokenCount => Tokens.Length;
}
