using System.CommandLine;
using System.Globalization;
using LlavaSharp.Checkpoints;
using LlavaSharp.Reporting;
using LlavaSharp.Zero;
using LlavaSharp.Zero.Simulation;

namespace LlavaSharp.Cli.Commands;

/// <summary>Shows how training would be divided over processes, and what a simulation says of its memory and time.</summary>
internal static class PlanCommand
{
    private const string Help = """
        llavasharp plan --world N [--zero STAGE] [--shape NAME | --model FOLDER]

        Says how ZeRO divides a training run over N devices: memory of a device, time of an update, and
        how much of it is spent waiting for exchanges. Nothing is loaded and no device is needed: the
        plan that train follows is simulated on a description of the machine.

          $ llavasharp plan --zero 3 --world 8
          $ llavasharp plan --shape vicuna-13b --train lora --world 64 --machine h200
          $ llavasharp plan --zero 3 --world 8 --show

          --shape NAME         vicuna-7b, vicuna-13b or mistral-7b, with LLaVA-1.5's tower [vicuna-7b]
          --model FOLDER       a LLaVA folder instead; only its config.json is read
          --train WHAT         full, lora or projector (stage 1) [full]
          --lora-r N           rank of the adapters [128]
          --world N            devices, 1 to 4096 and more [8]
          --zero STAGE         0 to 3; without it all four are compared
          --batch N            samples in a device's micro-batch [16]
          --accumulation N     micro-batches in an update [1]
          --tokens N           tokens of a sample, image rows included [876]
          --supervised N       of these, with a label [150]
          --recompute N        decoder layers that are computed again in backward [all]
          --prefetch N         divided blocks fetched ahead [1]
          --bucket N           elements of gradients that are settled together [16777216]
          --no-overlap         exchanges wait instead of running beside the computing
          --machine NAME|FILE  h200, a100, gaudi2, or a JSON file (--write-machine makes one) [h200]
          --write-machine FILE writes the machine's description down, to be edited
          --show               prints every step of the plan as well
          --scaling FOLDER     writes the tables and pictures of docs/scaling.md instead

        Assumptions: equal devices that never wait for a slower one; exchanges go one after the other in
        the plan's order; products reach a fixed share of the device's rate. See docs/scaling.md.

        """;

    /// <summary>Makes the verb.</summary>
    /// <param name="shell">What it talks to.</param>
    /// <returns>The verb.</returns>
    public static Verb Create(Shell shell)
    {
        Option<string?> shape = new("--shape"), model = new("--model"), write = new("--write-machine"), scaling = new("--scaling");
        var machine = new Option<string>("--machine") { DefaultValueFactory = _ => "h200" };
        var train = new Option<string>("--train") { DefaultValueFactory = _ => "full" };
        Option<int> rank = Flag.Whole("--lora-r", 128, 1), world = Flag.Whole("--world", 8, 1), zero = Flag.Whole("--zero", -1, 0);
        Option<int> batch = Flag.Whole("--batch", 16, 1), accumulation = Flag.Whole("--accumulation", 1, 1);
        Option<int> tokens = Flag.Whole("--tokens", 876, 1), supervised = Flag.Whole("--supervised", 150, 1);
        Option<int> recompute = Flag.Whole("--recompute", int.MaxValue, 0), prefetch = Flag.Whole("--prefetch", 1, 0);
        var bucket = Flag.Whole("--bucket", 1 << 24, 1);
        Option<bool> none = new("--no-overlap"), show = new("--show");
        var command = new Command("plan", "divide a run over processes, and simulate it")
        {
            shape, model, train, rank, world, zero, batch, accumulation, tokens, supervised, recompute, prefetch, bucket, none, machine,
            write, show, scaling,
        };
        command.SetAction(parsed =>
        {
            var name = parsed.GetRequiredValue(machine);
            if (parsed.GetValue(scaling) is { } folder)
            {
                ScalingReport.Write(folder, name);
                return ExitCode.Ok;
            }

            var description = Machine.Load(name);
            if (parsed.GetValue(write) is { } file)
            {
                description.Save(file);
            }

            var config = Config(parsed.GetValue(shape), parsed.GetValue(model));
            var units = KnownShapes.Units(config, parsed.GetRequiredValue(train), parsed.GetValue(rank));
            var work = new Work
            {
                Config = config,
                Samples = parsed.GetValue(batch),
                Accumulation = parsed.GetValue(accumulation),
                TokensPerSample = parsed.GetValue(tokens),
                SupervisedPerSample = Math.Min(parsed.GetValue(supervised), parsed.GetValue(tokens)),
                RecomputeLayers = Math.Min(parsed.GetValue(recompute), config.Text.LayerCount),
                ImagesPerSample = config.Vision is null ? 0 : 1,
                LoraRank = parsed.GetRequiredValue(train) == "lora" ? parsed.GetValue(rank) : 0,
            };
            var options = new ZeroDivision
            {
                World = parsed.GetValue(world),
                Prefetch = parsed.GetValue(prefetch),
                BucketElements = parsed.GetValue(bucket),
                Overlap = !parsed.GetValue(none),
            };
            var stage = parsed.GetValue(zero);
            Print(shell.Out, units, options, stage < 0 ? [0, 1, 2, 3] : [stage], description, work, parsed.GetValue(show));
            return ExitCode.Ok;
        });
        return new(
            command, "divides a run over devices (ZeRO 0 to 3) and simulates memory and time", "llavasharp plan --zero 3 --world 8", Help);
    }

    private static LlavaConfig Config(string? shape, string? model) => (shape, model) switch
    {
        (not null, not null) => throw new UserErrorException("--shape and --model both name a model; give one"),
        (_, { } folder) => LlavaConfig.IsLlavaFolder(folder) ? LlavaConfig.Load(folder) : LlavaConfig.Combine(folder, null),
        _ => KnownShapes.Get(shape ?? "vicuna-7b"),
    };

    private static void Print(
        TextWriter output, IReadOnlyList<ZeroUnit> units, ZeroDivision options, int[] stages, Machine machine, Work work, bool show)
    {
        ZeroPlan[] plans = [.. stages.Select(stage => ZeroPlan.Build(units, options with { Stage = stage }))];
        void Line(FormattableString text) => output.WriteLine(text.ToString(CultureInfo.InvariantCulture));
        Line($"{units.Sum(u => u.Elements):#,0} parameters, {units.Where(u => u.Trainable).Sum(u => u.Elements):#,0} trained, over {options.World} devices: {machine.Name}");
        Line($"{work.Samples} samples of {work.TokensPerSample} tokens a device, {work.Accumulation} micro-batches an update, {work.RecomputeLayers} layers recomputed");
        Line($"");
        Line($"stage   GB a device: weights  transient  gradients  optimizer  activations    total   update s  exposed s  samples/s   MFU");
        foreach (var plan in plans)
        {
            var update = Simulator.Run(plan, machine, work);
            var (m, full) = (update.Memory, update.Memory.Total > machine.MemoryBytes ? "  more than a device has" : "");
            Line($"{plan.Division.Stage,5}   {m.Weights / 1e9,20:0.00}  {m.Transient / 1e9,9:0.00}  {m.Gradients / 1e9,9:0.00}  {m.Optimizer / 1e9,9:0.00}  {m.Activations / 1e9,11:0.00}  {m.Total / 1e9,7:0.00}  {update.Seconds,9:0.000}  {update.ExposedSeconds,9:0.000}  {update.SamplesPerSecond,9:0.0}  {update.Utilisation,4:0%}{full}");
            if (show)
            {
                output.WriteLine();
                output.Write(ZeroPlanText.Show(plan));
            }
        }
    }
}
