using System.Globalization;
using LlavaSharp.Interop;

namespace LlavaSharp.Zero;

/// <summary>Which process of how many this one is.</summary>
/// <param name="Rank">From 0.</param>
/// <param name="World">Processes.</param>
/// <param name="LocalRank">From 0 on this machine: which of its devices is this process's.</param>
/// <param name="Carrier">What carries tensors between them, as the way they were started implies; null where there is one process.</param>
/// <param name="Source">The variables it was read from, for messages.</param>
public sealed record RankPlace(int Rank, int World, int LocalRank, CommunicatorKind? Carrier, string Source)
{
    /// <summary>Where rank 0 listens, host:port, for Gloo; for threads of one process, the name they share. "" otherwise.</summary>
    public string Address { get; init; } = "";

    /// <summary>The file in which this process says how far it has come, see <see cref="JobJournal"/>; "" for none.</summary>
    public string Journal { get; init; } = "";

    /// <summary>Processes of the job on this machine, which share its memory; 1 where the launcher does not say.</summary>
    public int LocalWorld { get; init; } = 1;

    /// <summary>One process.</summary>
    public static RankPlace Single { get; } = new(0, 1, 0, null, "no launcher");

    /// <summary>Where this process stands, for messages: the variables and what they say.</summary>
    /// <returns>Words such as "RANK/WORLD_SIZE says rank 0 of 2".</returns>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Source} says rank {Rank} of {World}");

    /// <summary>Whether this is rank 0, which writes what a run has once.</summary>
    public bool IsFirst => Rank == 0;
}
