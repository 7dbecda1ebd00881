namespace LlavaSharp.Sampling;

/// <summary>What the order of samples depends on, besides the data.</summary>
public sealed record SampleOrderOptions
{
    /// <summary>Samples in a micro-batch of one process.</summary>
    public required int PerDeviceBatch { get; init; }

    /// <summary>Processes.</summary>
    public int WorldSize { get; init; } = 1;

    /// <summary>Micro-batches in an optimizer step.</summary>
    public int GradientAccumulation { get; init; } = 1;

    /// <summary><c>--group_by_modality_length</c>.</summary>
    public bool GroupByModalityLength { get; init; }

    /// <summary><c>--seed</c>: seeds the global generator.</summary>
    public ulong Seed { get; init; } = 42;
}
