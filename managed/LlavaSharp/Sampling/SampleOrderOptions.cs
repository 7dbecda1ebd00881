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

    /// <summary><c>--group_by_length</c>: Hugging Face's own grouping; modality groups go before it.</summary>
    public bool GroupByLength { get; init; }

    /// <summary>With modality groups: <c>--sampler balanced</c> instead of the recipe's order.</summary>
    public bool Balanced { get; init; }

    /// <summary>Gaudi's trainer in one process: an order without groups is filled up to whole micro-batches.</summary>
    public bool FillsLastBatch { get; init; }

    /// <summary><c>--seed</c>: seeds the global generator.</summary>
    public ulong Seed { get; init; } = 42;
}
