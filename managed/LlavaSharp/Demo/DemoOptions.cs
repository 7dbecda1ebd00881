namespace LlavaSharp.Demo;

/// <summary>What a demo run was asked to do.</summary>
public sealed record DemoOptions
{
    /// <summary>Folder that everything is written below.</summary>
    public required string Out { get; init; }

    /// <summary>Decides the pictures, the weights and the order of samples.</summary>
    public int Seed { get; init; }

    /// <summary>How much is drawn and trained.</summary>
    public DemoBudget Budget { get; init; } = DemoBudget.Full;

    /// <summary>Whether a folder that is not empty may be written into.</summary>
    public bool Overwrite { get; init; }

    /// <summary>Threads of the engine; 0 leaves the choice to libtorch.</summary>
    public int Threads { get; init; }
}
