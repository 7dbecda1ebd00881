using System.Globalization;
using System.Text;
using LlavaSharp.Interop;

namespace LlavaSharp.Zero;

/// <summary>A plan for people: one line for each compute step, with what it waits for before it and what it sets off after it. A plus
/// stands behind what shares the next exchange of its kind.</summary>
public static class ZeroPlanText
{
    /// <summary>Writes a plan down.</summary>
    /// <param name="plan">The plan.</param>
    /// <returns>Lines, the last one ended.</returns>
    public static string Show(ZeroPlan plan)
    {
        var names = plan.Units.ToDictionary(u => u.Index, u => u.Name);
        var text = new StringBuilder();
        var o = plan.Division;
        text.Append(CultureInfo.InvariantCulture, $"ZeRO-{o.Stage} over {o.World}, prefetch {o.Prefetch}, buckets of {o.BucketElements:#,0}, ");
        text.Append(CultureInfo.InvariantCulture, $"{(o.Overlap ? "exchanges beside computing" : "no overlap")}; {plan.Steps.Length} steps\n");
        text.Append(CultureInfo.InvariantCulture, $"hash {plan.Hash()[..16]}\n\n");
        foreach (var unit in plan.Units)
        {
            var weights = plan.Divides(unit) ? "divided" : "whole";
            var trained = !unit.Trainable ? "frozen" : o.Stage == 0 ? "trained" : "trained, state divided";
            text.Append(CultureInfo.InvariantCulture, $"{unit.Index,4}  {unit.Name,-16}{unit.Elements,16:#,0}  {weights}, {trained}\n");
        }

        foreach (var phase in plan.Steps.GroupBy(s => s.Phase))
        {
            text.Append(phase.Key switch
            {
                ZeroPhase.Micro => "\neach micro-batch but the last\n",
                ZeroPhase.Last => "\nthe last micro-batch\n",
                _ => "\nthe update\n",
            });
            foreach (var line in Lines(phase, names))
            {
                text.Append("  ").Append(line).Append('\n');
            }
        }

        return text.ToString();
    }

    // Runs of one operation share a line.
    private static IEnumerable<string> Lines(IEnumerable<ShardingStep> steps, Dictionary<int, string> names)
    {
        ZeroOp? last = null;
        var line = new StringBuilder();
        foreach (var step in steps)
        {
            if (last != step.Op || step.Op is ZeroOp.Forward or ZeroOp.Backward)
            {
                if (line.Length > 0)
                {
                    yield return line.ToString().TrimEnd();
                }

                var computes = step.Op is ZeroOp.Forward or ZeroOp.Backward or ZeroOp.Norm or ZeroOp.Adamw;
                line.Clear().Append(computes ? "" : "    ").Append(step.Op.ToString().ToLowerInvariant());
            }

            line.Append(' ').Append(step.Op == ZeroOp.Norm ? "" : names[step.Unit]).Append(step.Joined ? " +" : "");
            last = step.Op;
        }

        if (line.Length > 0)
        {
            yield return line.ToString().TrimEnd();
        }
    }
}
