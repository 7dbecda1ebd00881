using LlavaSharp.Interop;
using LlavaSharp.Zero;

namespace LlavaSharp.Training.Resume;

/// <summary>How a run's state lies on its processes.</summary>
/// <param name="Ranks">The processes.</param>
/// <param name="Stage">ZeRO's stage.</param>
public sealed record Sharding(Ranks Ranks, int Stage)
{
    /// <summary>One process, which holds everything.</summary>
    public static Sharding None { get; } = new(Ranks.Single, 0);

    /// <summary>Whether each process holds a part of a slot only.</summary>
    /// <param name="slot">Weight or moment.</param>
    /// <param name="kind">Kind of the unit.</param>
    /// <returns>Whether it is divided.</returns>
    public bool Divides(Slot slot, UnitKinds kind) => Ranks.World > 1 && (slot == Slot.Weight
        ? Stage == 3 && kind is not (UnitKinds.Vision or UnitKinds.Projector or UnitKinds.Newline)
        : Stage >= 1);
}
