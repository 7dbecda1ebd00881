using System.Security.Cryptography;
using System.Text;
using LlavaSharp.Interop;

namespace LlavaSharp.Zero;

/// <summary>
/// What every rank does in an update, step after step: a pure function of units and options. Nothing in it depends on what a batch holds
/// or on which rank runs it, so ranks with text, with pictures and with both meet in the same exchanges.
/// </summary>
public sealed class ZeroPlan
{
    private ZeroPlan(IReadOnlyList<ZeroUnit> units, ZeroDivision division, ShardingStep[] steps) =>
        (Units, Division, Steps) = (units, division, steps);

    /// <summary>The units, in the table's order.</summary>
    public IReadOnlyList<ZeroUnit> Units { get; }

    /// <summary>Stage, processes, depth, buckets.</summary>
    public ZeroDivision Division { get; }

    /// <summary>The steps: a micro-batch's, then the last micro-batch's, then the update's.</summary>
    public ShardingStep[] Steps { get; }

    /// <summary>Makes the plan.</summary>
    /// <param name="units">The model's units; a decoder with at least one layer.</param>
    /// <param name="division">How it is divided.</param>
    /// <returns>The plan.</returns>
    /// <exception cref="UserErrorException">An option is out of range.</exception>
    public static ZeroPlan Build(IReadOnlyList<ZeroUnit> units, ZeroDivision division)
    {
        division.Check();
        return new(units, division, ZeroSteps.Of(units, division));
    }

    /// <summary>Elements of a rank's shard of a unit: rank r owns those from r times this on, up to the unit's end.</summary>
    /// <param name="elements">Elements of the unit, with the padding that the engine keeps between its tensors.</param>
    /// <param name="world">Processes.</param>
    /// <returns>A multiple of 16 elements, which is a cache line.</returns>
    public static long ShardOf(long elements, int world) => (elements + (16L * world) - 1) / (16L * world) * 16;

    /// <summary>Whether a unit's weights are in shards while nothing is computed.</summary>
    /// <param name="unit">The unit.</param>
    /// <returns>True at stage 3, for what belongs to the decoder.</returns>
    public bool Divides(ZeroUnit unit) => Division.Stage == 3 && unit.IsDivisible;

    /// <summary>SHA-256 of the steps and of what they mean: equal on ranks that will meet in the same exchanges.</summary>
    /// <returns>64 hexadecimal digits.</returns>
    public string Hash()
    {
        var text = new StringBuilder();
        foreach (var u in Units)
        {
            text.Append(u).Append('\n');
        }

        text.Append(Division).Append('\n');
        foreach (var s in Steps)
        {
            text.Append(s).Append('\n');
        }

        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }
}
