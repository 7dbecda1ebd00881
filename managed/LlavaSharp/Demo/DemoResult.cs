namespace LlavaSharp.Demo;

/// <summary>What a demo run found.</summary>
public sealed record DemoResult
{
    /// <summary>The seed it ran with.</summary>
    public required int Seed { get; init; }

    /// <summary>Before any training: a warm language model behind a random projector.</summary>
    public required DemoScore Initial { get; init; }

    /// <summary>After stage 1.</summary>
    public required DemoScore Stage1 { get; init; }

    /// <summary>After stage 2.</summary>
    public required DemoScore Stage2 { get; init; }

    /// <summary>After stage 2, asked about another picture.</summary>
    public required DemoScore Swapped { get; init; }

    /// <summary>The best constant answer to each kind of question.</summary>
    public required DemoScore Majority { get; init; }

    /// <summary>Held-out caption loss a token before stage 1, in nats.</summary>
    public required double CaptionLossBefore { get; init; }

    /// <summary>The same after stage 1.</summary>
    public required double CaptionLossStage1 { get; init; }

    /// <summary>The same after stage 1, with another picture.</summary>
    public required double CaptionLossSwapped { get; init; }

    /// <summary>Loss of every update: warm-up, stage 1, stage 2.</summary>
    public required IReadOnlyDictionary<string, IReadOnlyList<double>> Losses { get; init; }

    /// <summary>Wall-clock seconds of each part, in order.</summary>
    public required IReadOnlyList<(string Part, double Seconds)> Seconds { get; init; }

    /// <summary>The process's highest resident memory, MiB.</summary>
    public required double PeakRssMib { get; init; }

    /// <summary>The held-out conversations and the trained model's answers.</summary>
    public required IReadOnlyList<IReadOnlyList<string>> Answers { get; init; }

    /// <summary>Folder of everything.</summary>
    public required DemoPaths Paths { get; init; }

    /// <summary>The scores by the names of the report.</summary>
    public IEnumerable<(string Name, DemoScore Score)> Scores =>
        [("initial", Initial), ("stage1", Stage1), ("stage2", Stage2), ("swapped", Swapped), ("majority", Majority)];
}
