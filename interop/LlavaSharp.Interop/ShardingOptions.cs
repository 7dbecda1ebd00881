namespace LlavaSharp.Interop;

/// <summary>How training is sharded over ranks (Rajbhandari et al. 2020).</summary>
public sealed record ShardingOptions
{
    /// <summary>0: nothing; 1: optimizer state; 2: gradients too; 3: weights too.</summary>
    public int Stage { get; init; }

    /// <summary>Micro-batches an update, on every rank.</summary>
    public int Accumulation { get; init; } = 1;

    /// <summary>Floats that are reduced at a time: bounds memory.</summary>
    public long ReduceBucket { get; init; } = 1 << 24;

    /// <summary>Added to each exchange, to measure overlap with.</summary>
    public TimeSpan Delay { get; init; }

    /// <summary>A fault to inject, for tests.</summary>
    public FaultKind Fault { get; init; }

    /// <summary>Which rank's fault it is.</summary>
    public int FaultRank { get; init; }

    /// <summary>In which update, from 0.</summary>
    public long FaultStep { get; init; }

    internal Native.ZeroOptions ToNative()
    {
        Native.ZeroOptionsInit(out Native.ZeroOptions native).ThrowIfFailed();
        native.Stage = Stage;
        native.Accumulation = Accumulation;
        native.ReduceBucket = ReduceBucket;
        native.DelayUs = (long)Delay.TotalMicroseconds;
        native.Fault = (int)Fault;
        native.FaultRank = FaultRank;
        native.FaultStep = FaultStep;
        return native;
    }
}
