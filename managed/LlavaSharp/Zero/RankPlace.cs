namespace LlavaSharp.Zero;

/// <summary>Which process of how many this one is.</summary>
/// <param name="Rank">From 0.</param>
/// <param name="World">Processes.</param>
/// <param name="LocalRank">From 0 on this machine: which of its devices is this process's.</param>
/// <param name="Transport">What the way it was started implies.</param>
/// <param name="Source">The variables it was read from, for messages.</param>
public sealed record RankPlace(int Rank, int World, int LocalRank, Transport Transport, string Source)
{
    /// <summary>Where rank 0 listens, for Gloo; null otherwise.</summary>
    public string? MasterAddress { get; init; }

    /// <summary>Its port; 0 where there is none.</summary>
    public int MasterPort { get; init; }

    /// <summary>One process.</summary>
    public static RankPlace Single { get; } = new(0, 1, 0, Transport.None, "no launcher");

    /// <summary>Whether this is rank 0, which writes what a run has once.</summary>
    public bool IsFirst => Rank == 0;
}
