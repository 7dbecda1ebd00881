namespace LlavaSharp.Training;

/// <summary>One update, as log.jsonl and the progress line show it.</summary>
public sealed record StepRecord
{
    /// <summary>The update, counted from 1.</summary>
    public required int Step { get; init; }

    /// <summary>Updates of the run.</summary>
    public required int TotalSteps { get; init; }

    /// <summary>Passes over the data so far.</summary>
    public required double Epoch { get; init; }

    /// <summary>Mean over the update's micro-batches of their token means, in nats; NaN (null in files) when nothing was learned.</summary>
    public required double Loss { get; init; }

    /// <summary>The learning rate this update used (the first is 0 where there is a warm-up).</summary>
    public required double LearningRate { get; init; }

    /// <summary>Global gradient norm before clipping; NaN when nothing was supervised.</summary>
    public required double GradientNorm { get; init; }

    /// <summary>Samples in the update.</summary>
    public required int Samples { get; init; }

    /// <summary>Tokens in the update, image rows included.</summary>
    public required int Tokens { get; init; }

    /// <summary>Tokens that were learned.</summary>
    public required int SupervisedTokens { get; init; }

    /// <summary>Samples that were left out because something is wrong with them.</summary>
    public int SkippedSamples { get; init; }

    /// <summary>Trained samples that the recipe would have masked whole, because its lengths do not add up on them.</summary>
    public int RecipeMasked { get; init; }

    /// <summary>Wall-clock seconds of the update, waiting included.</summary>
    public required double Seconds { get; init; }

    /// <summary>Seconds of it that waited for data.</summary>
    public required double DataWaitSeconds { get; init; }

    /// <summary>Resident memory of the process, bytes.</summary>
    public required long ResidentBytes { get; init; }

    /// <summary>Floating-point operations that the model asked for.</summary>
    public double Flops { get; init; }

    /// <summary>What the machine can do at most, as the user stated it, in operations a second; null when nobody has.</summary>
    public double? PeakFlops { get; init; }

    /// <summary>Operations a second, over this update.</summary>
    public double FlopsPerSecond => Flops / Math.Max(Seconds, 1e-9);

    /// <summary>Samples a second, over this update.</summary>
    public double SamplesPerSecond => Samples / Math.Max(Seconds, 1e-9);

    /// <summary>Tokens a second, over this update.</summary>
    public double TokensPerSecond => Tokens / Math.Max(Seconds, 1e-9);
}
