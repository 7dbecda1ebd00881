using System.Diagnostics;
using LlavaSharp.Interop;
using LlavaSharp.Zero;
using LlavaSharp.Zero.Simulation;

namespace LlavaSharp.Benchmarks;

/// <summary>
/// What fetching ahead hides, and what shared exchanges save, when exchanges are slow: each is made to take longer by a delay, and the
/// simulation is given that delay as the links' latency. Rate of computing and rate of exchange come from a run without delay.
/// </summary>
public static class ZeroOverlapBench
{
    private const int Updates = 3;

    private static readonly double[] Delays = [0, 5e-3, 10e-3, 20e-3];

    private static readonly ZeroDivision Third = new() { Stage = 3, BucketElements = 1 << 22 };

    private static readonly (string Name, string Train, ZeroDivision Division, double[] Delays)[] Cases =
    [
        ("stage 3, no overlap", "full", Third with { Overlap = false }, Delays),
        ("stage 3, prefetch 0", "full", Third with { Prefetch = 0 }, Delays),
        ("stage 3, prefetch 1", "full", Third with { Prefetch = 1 }, Delays),
        ("stage 3, prefetch 2", "full", Third with { Prefetch = 2 }, Delays),
        ("stage 2, adapters, each by itself", "lora", new() { Stage = 2, BucketElements = 400_000, GatherElements = 1 }, [0, 10e-3]),
        ("stage 2, adapters, buckets of 2^22", "lora", new() { Stage = 2, BucketElements = 1 << 22, GatherElements = 1 << 22 }, [0, 10e-3]),
    ];

    /// <summary>Measures, as one of the processes.</summary>
    /// <param name="place">Which one.</param>
    /// <returns>Every case at every delay; as rank 0 saw it.</returns>
    public static IReadOnlyList<ZeroOverlapResult> Run(RankPlace place)
    {
        using var ranks = Ranks.Meet(place, TimeSpan.FromMinutes(2));
        List<ZeroOverlapResult> results = [];
        Dictionary<string, Machine> machines = [];
        foreach (var (name, train, division, delays) in Cases)
        {
            var @case = new ZeroCase(train, division);
            foreach (var delay in delays)
            {
                var (seconds, traffic) = Time(@case, ranks, TimeSpan.FromSeconds(delay));
                var exposed = traffic.Exposed.TotalSeconds;
                if (!machines.TryGetValue(train, out var machine))
                {
                    machines[train] = machine = Describe(@case, ranks.World, seconds - exposed, traffic);
                }

                machine = machine with { Host = machine.Host with { LatencySeconds = delay } };
                var simulated = Simulator.Run(@case.Plan(ranks.World), machine, @case.Work);
                results.Add(new(name, delay, traffic.Exchanges, seconds, exposed, simulated.Seconds, simulated.ExposedSeconds));
            }
        }

        return results;
    }

    // An update's median, and its traffic.
    private static (double Seconds, TrafficStatistics Traffic) Time(ZeroCase @case, Ranks ranks, TimeSpan delay)
    {
        using var engine = new Engine(new EngineOptions { Threads = 1 });
        using var model = @case.Make(engine);
        using var trainer = @case.Begin(model, ranks, delay);
        var batch = ZeroCase.Draw(ranks.Rank);
        List<(double Seconds, TrafficStatistics Traffic)> updates = [];
        for (var update = 0; update <= Updates; update++)
        {
            ranks.Gather("begin", [0.0]);
            var (start, before) = (Stopwatch.GetTimestamp(), trainer.Traffic);
            trainer.Accumulate(batch, 1.0 / (64 * ranks.World));
            trainer.Step([new(1e-4, 0)], 1);
            var after = trainer.Traffic;

            // Memory is first touched in the first.
            if (update > 0)
            {
                updates.Add((Stopwatch.GetElapsedTime(start).TotalSeconds, new(
                    after.Exchanges - before.Exchanges, after.Bytes - before.Bytes, after.Busy - before.Busy,
                    after.Exposed - before.Exposed)));
            }
        }

        return updates.OrderBy(u => u.Seconds).ElementAt(Updates / 2);
    }

    // This machine as the simulation wants it: it computes the case in so many seconds.
    private static Machine Describe(ZeroCase @case, int world, double computed, TrafficStatistics traffic)
    {
        var machine = new Machine
        {
            Name = "this machine",
            DevicesPerHost = world,
            MemoryBytes = 1e12,
            Flops = 1e9,
            Efficiency = 1,
            MemoryBytesPerSecond = 1e12,
            ElementBytes = 4,
            Host = new(traffic.Bytes / traffic.Busy.TotalSeconds, 0),
            Network = new(1e12, 0),
        };
        var once = Simulator.Run(@case.Plan(world), machine, @case.Work).ComputeSeconds;
        return machine with { Flops = machine.Flops * once / computed };
    }
}
