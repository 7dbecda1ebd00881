using System.Globalization;
using System.Text;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Zero;
using LlavaSharp.Zero.Simulation;

namespace LlavaSharp.Reporting;

/// <summary>docs/scaling.md: what the simulation says of 1 to 4,096 devices, with its pictures.</summary>
public static class ScalingReport
{
    private const UnitKinds Full = UnitKinds.Projector | UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head;
    private static readonly int[] Worlds = [.. Enumerable.Range(0, 13).Select(i => 1 << i)];

    /// <summary>Writes the simulated part and its pictures.</summary>
    /// <param name="folder">Receives scaling-simulated.md and three SVG files.</param>
    /// <param name="machineName">A machine that is known by name, or a file.</param>
    /// <exception cref="UserErrorException">There is no such machine, or the folder cannot be written.</exception>
    public static void Write(string folder, string machineName)
    {
        var machine = Machine.Load(machineName);
        Directory.CreateDirectory(folder);
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"""
            # Simulated training over 1 to 4,096 devices

            Written by `llavasharp plan --scaling docs/scaling --machine {machineName}`: {machine.Name}.
            Full fine-tuning, 16 samples of 876 tokens (150 with a label, one picture) a device and micro-batch, every layer
            recomputed, prefetch 1. Memory a device in GB, throughput in samples a second a device, "exposed" the share of an update in
            which devices wait for exchanges. A dash: more memory than a device has.


            """);
        foreach (var shape in (string[])["vicuna-7b", "vicuna-13b"])
        {
            Table(text, shape, machine);
        }

        AtomicFile.WriteText(Path.Combine(folder, "scaling-simulated.md"), text.ToString());
        var config = KnownShapes.Get("vicuna-7b");
        Picture("scaling-memory.svg", "Memory a device, GB: LLaVA-1.5-7B, full fine-tuning", Stages((plan, u) => u.Memory.Total / 1e9));
        Picture("scaling-throughput.svg", "Samples a second a device: LLaVA-1.5-7B, full fine-tuning", Stages((_, u) => u.SamplesPerSecond));
        Picture("scaling-exposed.svg", "Share of an update spent waiting: ZeRO-3, LLaVA-1.5-7B", Depths());

        List<ChartSeries> Stages(Func<ZeroPlan, SimulatedUpdate, double> value) =>
        [
            .. Enumerable.Range(0, 4).Select(stage => Curve($"stage {stage}", world =>
            {
                var (plan, update) = Simulate(config, machine, new() { Stage = stage, World = world });
                return value(plan, update with { SamplesPerSecond = update.SamplesPerSecond / world });
            })),
        ];

        List<ChartSeries> Depths() =>
        [
            Curve("no overlap", w => Exposed(new() { Stage = 3, World = w, Overlap = false })),
            .. Enumerable.Range(0, 3).Select(p => Curve($"prefetch {p}", w => Exposed(new() { Stage = 3, World = w, Prefetch = p }))),
        ];

        double Exposed(ZeroDivision options)
        {
            var (_, update) = Simulate(config, machine, options);
            return update.ExposedSeconds / update.Seconds;
        }

        void Picture(string name, string title, List<ChartSeries> series) =>
            AtomicFile.WriteText(Path.Combine(folder, name), SvgFile.Of(title, "devices, as powers of two: 0 is 1, 12 is 4,096", series));
    }

    private static ChartSeries Curve(string name, Func<int, double> of) =>
        new(name, [.. Worlds.Select(w => (double)int.Log2(w))], [.. Worlds.Select(of)]) { IsExact = true };

    private static (ZeroPlan Plan, SimulatedUpdate Update) Simulate(LlavaConfig config, Machine machine, ZeroDivision options)
    {
        var work = new Work
        {
            Config = config,
            Samples = 16,
            TokensPerSample = 876,
            SupervisedPerSample = 150,
            RecomputeLayers = config.Text.LayerCount,
        };
        var plan = ZeroPlan.Build(ZeroUnit.Of(config, Full), options);
        return (plan, Simulator.Run(plan, machine, work));
    }

    private static void Table(StringBuilder text, string shape, Machine machine)
    {
        text.Append(CultureInfo.InvariantCulture, $"**{shape}**\n\n| devices |");
        for (var stage = 0; stage < 4; stage++)
        {
            text.Append(CultureInfo.InvariantCulture, $" stage {stage}: GB | samples/s | exposed |");
        }

        text.Append("\n|---:|").Append(string.Concat(Enumerable.Repeat("---:|", 12))).Append('\n');
        foreach (var world in Worlds)
        {
            text.Append(CultureInfo.InvariantCulture, $"| {world:#,0} |");
            for (var stage = 0; stage < 4; stage++)
            {
                var (_, update) = Simulate(KnownShapes.Get(shape), machine, new() { Stage = stage, World = world });
                text.Append(CultureInfo.InvariantCulture, $" {update.Memory.Total / 1e9:0.0} |");
                text.Append(update.Memory.Total > machine.MemoryBytes ? " – | – |" : string.Create(
                    CultureInfo.InvariantCulture, $" {update.SamplesPerSecond / world:0.00} | {update.ExposedSeconds / update.Seconds:0.0%} |"));
            }

            text.Append('\n');
        }

        text.Append('\n');
    }
}
