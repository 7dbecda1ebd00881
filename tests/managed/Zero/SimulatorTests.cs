using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Zero;
using LlavaSharp.Zero.Simulation;

namespace LlavaSharp.Tests.Zero;

public sealed class SimulatorTests
{
    private const UnitKinds Full = UnitKinds.Projector | UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head;
    private static readonly Machine Hosts = Machine.Known["h200"];

    /// <summary>Worked out by hand for LLaVA-1.5-7B, in 10¹² operations a sample.</summary>
    [Theory]
    [InlineData("projector", 626, 50, 17.0)]
    [InlineData("lora", 876, 150, 25.5)]
    [InlineData("full", 876, 150, 35.2)]
    public void Counts_the_operations_of_the_recipes_stages(string what, int tokens, int supervised, double expected)
    {
        var units = KnownShapes.Units(KnownShapes.Get("vicuna-7b"), what, 128);
        var work = Sample("vicuna-7b") with { TokensPerSample = tokens, SupervisedPerSample = supervised, RecomputeLayers = 32 };
        Assert.Equal(expected, work.ModelOperations(ZeroPlan.Build(units, new())) / 1e12, expected * 0.01);
    }

    [Fact]
    public void One_device_waits_for_nobody_and_holds_everything_once()
    {
        foreach (var stage in (int[])[0, 1, 2, 3])
        {
            var (plan, update) = Run("vicuna-7b", new() { Stage = stage });
            double elements = plan.Units.Sum(u => u.Elements), trained = plan.Units.Where(u => u.Trainable).Sum(u => u.Elements);
            Assert.Equal(0, update.ExposedSeconds, 1e-12);
            Assert.Equal(0, update.ExchangeSeconds);
            Assert.Equal((2 * elements, 0.0, 2 * trained, 12 * trained),
                (update.Memory.Weights, update.Memory.Transient, update.Memory.Gradients, update.Memory.Optimizer));
        }
    }

    /// <summary>Bytes a parameter of mixed-precision Adam over N devices as Rajbhandari et al. 2020 count them (K = 12), but that a
    /// shard of a gradient is kept in float32; their Ψ is what is trained.</summary>
    [Theory]
    [InlineData(0, 2 + 2 + 12, 0)]
    [InlineData(1, 2 + 2, 12)]
    [InlineData(2, 2, 4 + 12)]
    [InlineData(3, 0, 2 + 4 + 12)]
    public void Memory_follows_the_published_formula(int stage, double whole, double divided)
    {
        const int World = 64;
        var (plan, update) = Run("vicuna-7b", new() { Stage = stage, World = World, Prefetch = 0 });
        double elements = plan.Units.Where(u => u.Trainable).Sum(u => u.Elements);
        var replicated = 2.0 * plan.Units.Where(u => !plan.Divides(u) && (!u.Trainable || stage == 3)).Sum(u => u.Elements);

        // At the fullest moment the exchange of at most two whole gradients is under way, one block is whole, and a bucket of small
        // units is sent and received.
        var most = plan.Units.Where(u => u.IsDivisible).Max(u => u.Elements);
        var inFlight = (2 * 2.0 * plan.Division.BucketElements) + (stage >= 2 ? 3 * 2.0 * most : 0) + (stage == 3 ? 2.0 * most : 0);
        var formula = (elements * (whole + (divided / World))) + replicated;
        var held = update.Memory.Total - update.Memory.Activations;
        Assert.InRange(held, formula * 0.999, (formula + inFlight) * 1.001);
    }

    [Fact]
    public void Fetching_ahead_hides_exchanges()
    {
        var options = new ZeroDivision { Stage = 3, World = 256 };
        double[] exposed =
        [
            Run("vicuna-7b", options with { Overlap = false }).Update.ExposedSeconds,
            .. Enumerable.Range(0, 3).Select(p => Run("vicuna-7b", options with { Prefetch = p }).Update.ExposedSeconds),
        ];
        Assert.True(exposed[0] > exposed[1] && exposed[1] > 2 * exposed[2] && exposed[2] >= exposed[3], string.Join(" ", exposed));
        var (_, update) = Run("vicuna-7b", options);
        var least = Math.Max(update.ComputeSeconds, update.ExchangeSeconds);
        Assert.InRange(update.Seconds, least, update.ComputeSeconds + update.ExchangeSeconds + 1e-3);
    }

    [Fact]
    public void Parts_within_a_host_and_between_hosts_move_at_the_same_time()
    {
        var machine = Hosts with
        {
            DevicesPerHost = 2,
            Host = new(1, 0),
        };
        Assert.Equal(0.5, machine.MoveSeconds(1, 2));
        Assert.Equal((0, 0), (machine.MoveSeconds(1, 1), machine.LatencySeconds(1)));

        // Four devices on two hosts: three quarters within, half of it over two ports.
        Assert.Equal(0.75, (machine with { Network = new(1, 0) }).MoveSeconds(1, 4));
        Assert.Equal(0.25 / 0.1, (machine with { Network = new(0.1, 0) }).MoveSeconds(1, 4), 1e-12);
        Assert.Equal(1 + 2, (machine with { Host = new(1, 1), Network = new(1, 2) }).LatencySeconds(4));
        Assert.Equal(8 * 0.75 * 4 + 3, (machine with { Host = new(1, 1), Network = new(1, 2) }).MeetSeconds(4));
    }

    [Fact]
    public void Describes_machines_in_files()
    {
        using var folder = new TempFolder();
        var path = folder["machine.json"];
        Hosts.Save(path);
        Assert.Equal(Hosts, Machine.Load(path));
        Assert.Equal($"--machine nowhere: neither a file nor one of h200, a100, gaudi2", Wrong("nowhere"));
        Assert.StartsWith($"--machine {path}: ", Wrong(folder.Write("machine.json", "{\"flops\": 1}")), StringComparison.Ordinal);
        (Hosts with { Efficiency = 2 }).Save(path);
        Assert.StartsWith($"--machine {path}: efficiency is out of range", Wrong(path), StringComparison.Ordinal);

        static string Wrong(string name) => Assert.Throws<UserErrorException>(() => Machine.Load(name)).Message;
    }

    [Fact]
    public void The_verb_compares_stages_and_shows_steps()
    {
        var (code, text, error) = Host.Run("plan", "--world", "64", "--shape", "vicuna-13b");
        Assert.Equal((0, ""), (code, error));
        string[] lines = text.Split('\n');
        Assert.Equal(4, lines.Count(l => l.Length > 5 && l[4] is >= '0' and <= '3' && string.IsNullOrWhiteSpace(l[..4])));
        Assert.Contains("more than a device has", lines.Single(l => l.StartsWith("    0 ", StringComparison.Ordinal)));
        Assert.DoesNotContain("more than a device has", lines.Single(l => l.StartsWith("    3 ", StringComparison.Ordinal)));
        var shown = Host.Run("plan", "--world", "2", "--zero", "3", "--show", "--train", "lora").Out;
        Assert.Contains("gather layer.31 layer.31.lora", shown);
        Assert.Equal("--train some: there is full, lora and projector", Host.Mistake("plan", "--train", "some"));
        Assert.Equal("--shape x: there is vicuna-7b, vicuna-13b, mistral-7b; or name a folder with --model", Host.Mistake("plan", "--shape", "x"));
        Assert.Equal("--shape and --model both name a model; give one", Host.Mistake("plan", "--shape", "x", "--model", "y"));
        Assert.Equal("ZeRO stage 4: there are 0, 1, 2 and 3", Host.Mistake("plan", "--zero", "4"));
    }

    [Fact]
    public void Writes_the_tables_and_pictures_of_the_document()
    {
        using var folder = new TempFolder();
        Host.Succeed("plan", "--scaling", folder["s"]);
        var text = File.ReadAllText(folder["s/scaling-simulated.md"]);
        Assert.Equal(26, text.Split('\n').Count(l => l.StartsWith("| ", StringComparison.Ordinal) && char.IsAsciiDigit(l[2])));
        Assert.Contains("| 4,096 |", text);
        foreach (var name in (string[])["memory", "throughput", "exposed"])
        {
            System.Xml.Linq.XDocument.Load(folder[$"s/scaling-{name}.svg"]);
        }
    }

    /// <summary>The units of a config are those of the made model.</summary>
    [Fact]
    public void Units_of_a_config_are_the_engines()
    {
        using var engine = new Engine();
        var config = TinyModel.Config();
        var adapters = new AdapterOptions { Rank = 2, Alpha = 4 };
        using var model = new Model(engine, LlavaSharp.Checkpoints.ModelLoader.ToModelConfig(config));
        foreach (var module in LoraTargets.Find(config))
        {
            model.AttachLora(adapters.ToEngine(0), module + ".weight");
        }

        model.SetTrainable(UnitKinds.Lora);
        Assert.Equal(ZeroUnit.Of(model.Parameters), ZeroUnit.Of(config, UnitKinds.Lora, adapters));
    }

    private static Work Sample(string shape) => new()
    {
        Config = KnownShapes.Get(shape),
        Samples = 1,
        TokensPerSample = 876,
        SupervisedPerSample = 150,
    };

    private static (ZeroPlan Plan, SimulatedUpdate Update) Run(string shape, ZeroDivision options)
    {
        var plan = ZeroPlan.Build(ZeroUnit.Of(KnownShapes.Get(shape), Full), options);
        return (plan, Simulator.Run(plan, Hosts, Sample(shape) with { Samples = 16, RecomputeLayers = 32 }));
    }
}
