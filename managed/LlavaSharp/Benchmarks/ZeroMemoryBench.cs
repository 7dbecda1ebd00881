using LlavaSharp.Interop;
using LlavaSharp.Zero;

namespace LlavaSharp.Benchmarks;

/// <summary>Memory of a rank: by the engine's ledger and by the machine, beside the simulation's.</summary>
public static class ZeroMemoryBench
{
    /// <summary>Measures, as one of the processes of a case.</summary>
    /// <param name="place">Which one.</param>
    /// <param name="case">What is trained; its world is the processes'.</param>
    /// <returns>Of the rank that holds most, column by column; the same on all.</returns>
    public static ZeroMemoryResult Run(RankPlace place, ZeroCase @case)
    {
        using var ranks = Ranks.Meet(place, TimeSpan.FromMinutes(2));
        using var engine = new Engine(new EngineOptions { Threads = 1 });
        var start = engine.Memory().Resident;
        using var model = @case.Make(engine);
        using var trainer = @case.Begin(model, ranks, TimeSpan.Zero);
        var batch = ZeroCase.Draw(ranks.Rank);
        for (var step = 0; step < 2; step++)
        {
            trainer.Accumulate(batch, 1.0 / (64 * ranks.World));
            trainer.Step([new(1e-4, 0)], 1);
        }

        var held = engine.Memory();
        double[] own = [held.Parameters, held.Transient, held.Gradients, held.Optimizer, held.Workspace, held.ResidentPeak - start];
        double[][] all = ranks.Gather("memory", own);
        double[] most = [.. own.Select((_, i) => all.Max(rank => rank[i]))];
        var plan = @case.Plan(ranks.World);
        return new(
            @case.Train, @case.Division.Stage, ranks.World, new(most[0], most[1], most[2], most[3], most[4]), @case.Work.Memory(plan, 4),
            most[5], @case.Work.Plan(plan).Scratch, Sum(u => u.Trainable), Sum(u => !u.Trainable && u.IsDivisible),
            Sum(u => !u.Trainable && !u.IsDivisible));

        double Sum(Func<ZeroUnit, bool> of) => plan.Units.Where(of).Sum(u => u.Elements);
    }
}
