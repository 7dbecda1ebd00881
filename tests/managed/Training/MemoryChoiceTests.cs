using LlavaSharp.Interop;
using LlavaSharp.Training;
using LlavaSharp.Zero;

namespace LlavaSharp.Tests.Training;

/// <summary>What a limit makes of a run: samples one after another before layers that run twice, and no more of either than
/// needed.</summary>
public sealed class MemoryChoiceTests
{
    private const UnitKinds Full = UnitKinds.Projector | UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head;
    private const long Process = 100L << 20;

    private static readonly ModelConfig Shape = new()
    {
        VisionHidden = 64,
        VisionLayers = 4,
        VisionHeads = 4,
        VisionIntermediate = 128,
        ImageSize = 56,
        PatchSize = 14,
        Hidden = 128,
        Layers = 6,
        Heads = 4,
        KvHeads = 4,
        HeadDim = 32,
        Intermediate = 344,
        Vocabulary = 3200,
    };

    private static readonly TrainOptions Options = new() { ModelMaxLength = 512, PerDeviceTrainBatchSize = 8, Threads = 2 };

    private static MemoryChoice Choose(long? limit, UnitKinds trained = Full, bool? twice = null) => MemoryChoice.Make(
        Shape, Options with { MemoryLimit = limit, GradientCheckpointing = twice }, trained, null, Process, _ => { });

    [Fact]
    public void Without_need_everything_is_kept_and_runs_at_once()
    {
        MemoryChoice choice = Choose(null);
        Assert.Equal((0, 0), (choice.TokensAtOnce, choice.RecomputeLayers));
        Assert.EndsWith("; no layer runs twice", choice.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_falling_limit_first_parts_samples_then_runs_layers_twice()
    {
        List<(int Tokens, int Layers)> seen = [];
        MemoryChoice choice = Choose(null);
        while (true)
        {
            seen.Add((choice.TokensAtOnce, choice.RecomputeLayers));
            Assert.Equal(choice.ToString().Split(';')[1], Choose(choice.Peak).ToString().Split(';')[1]); // It just fits.
            long below = choice.Peak - 1;
            if (choice.RecomputeLayers == Shape.Layers - 1)
            {
                Assert.Throws<UserErrorException>(() => Choose(below));
                break;
            }

            MemoryChoice next = Choose(below);
            Assert.True(next.Peak <= below);
            choice = next;
        }

        Assert.Equal([(0, 0), (2048, 0), (1024, 0), (512, 0), (512, 1), (512, 2), (512, 3), (512, 4), (512, 5)], seen);
    }

    [Fact]
    public void A_frozen_decoder_needs_no_more_for_a_larger_batch()
    {
        MemoryPlan small = Choose(null, UnitKinds.Projector).Plan;
        MemoryPlan large = MemoryChoice.Make(
            Shape, Options with { PerDeviceTrainBatchSize = 64 }, UnitKinds.Projector, null, Process, _ => { }).Plan;
        Assert.Equal(small, large);
    }

    [Fact]
    public void Adapters_of_trained_lengths_keep_what_they_scale()
    {
        MemoryPlan Plan(bool dora) => MemoryChoice.Make(
            Shape, Options, UnitKinds.Lora, new() { Rank = 4, Dora = dora }, Process, _ => { }).Plan;
        Assert.True(Plan(true).Workspace > Plan(false).Workspace);
        Assert.True(Plan(true).Parameters > Plan(false).Parameters);
    }

    /// <summary>What several processes divide is planned as divided; samples then run together, so only layers give way.</summary>
    [Fact]
    public void Several_processes_hold_less()
    {
        using Engine engine = new(new EngineOptions { Threads = 1 });
        using Model model = new(engine, Shape);
        model.SetTrainable(Full);
        MemoryChoice Divided(int stage, int world, long? limit = null, bool files = false) => MemoryChoice.Make(
            Shape,
            Options with
            {
                MemoryLimit = limit,
                ZeroStage = stage,
                ZeroBucket = 1 << 12,
                ZeroGatherBucket = 1 << 12,
                OffloadOptimizer = files,
                Place = new(0, world, 0, CommunicatorKind.Local, "the test"),
            },
            Full, null, Process, _ => { }, ZeroUnit.Of(model.Parameters));
        MemoryChoice alone = Choose(null);
        long[] peaks = [.. Enumerable.Range(0, 4).Select(stage => Divided(stage, 4).Peak)];
        Assert.Equal(peaks.OrderDescending(), peaks);
        Assert.True(peaks[0] >= alone.Peak && peaks[3] < alone.Peak && Divided(3, 8).Peak < peaks[3]);
        Assert.Equal(peaks[1] - Divided(1, 4).Plan.Optimizer, Divided(1, 4, files: true).Peak);
        MemoryChoice less = Divided(3, 4, peaks[3] - 1);
        Assert.Equal((0, 1), (less.TokensAtOnce, less.RecomputeLayers));
    }

    /// <summary>Processes of one host share its memory: what suffices for one of them need not for four.</summary>
    [Fact]
    public void Processes_of_one_host_share_its_memory()
    {
        List<string> warnings = [];
        MemoryChoice On(int processes, long held, long? limit = null) => MemoryChoice.Make(
            Shape, Options with { MemoryLimit = limit, Place = RankPlace.Single with { LocalWorld = processes } }, Full, null, held,
            warnings.Add);
        long machine = On(1, Process).Limit;
        Assert.Equal((machine / 2, machine / 4), (On(2, Process).Limit, On(4, Process).Limit));

        // So much else is held that a process fits alone, and not beside three others.
        MemoryChoice alone = On(1, machine / 2);
        Assert.Equal((0, 0), (alone.TokensAtOnce, alone.RecomputeLayers));
        Assert.Empty(warnings);
        MemoryChoice four = On(4, machine / 2);
        Assert.Equal((Options.ModelMaxLength, Shape.Layers - 1), (four.TokensAtOnce, four.RecomputeLayers));
        string expected = $"this machine has {MemoryChoice.Bytes(machine / 4)} for each of its 4 processes: a step ";
        Assert.StartsWith(expected, Assert.Single(warnings), StringComparison.Ordinal);

        // The flag's limit is a process's own.
        Assert.Equal(1L << 40, On(4, Process, 1L << 40).Limit);
    }

    [Fact]
    public async Task Ranks_count_those_of_their_host()
    {
        string address = Guid.NewGuid().ToString();
        int[] counts = await Task.WhenAll(Enumerable.Range(0, 3).Select(rank => Task.Factory.StartNew(
            () =>
            {
                using Ranks ranks = Ranks.Meet(
                    new(rank, 3, rank, CommunicatorKind.Local, "the test") { Address = address }, TimeSpan.FromMinutes(2));
                return ranks.CountOnHost();
            },
            TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        Assert.Equal([3, 3, 3], counts);
        Assert.Equal(1, Ranks.Single.CountOnHost());
    }

    [Fact]
    public void True_runs_every_layer_twice_and_False_none()
    {
        Assert.Equal(Shape.Layers, Choose(null, twice: true).RecomputeLayers);
        Assert.Contains("6 of 6 decoder layers run twice", Choose(null, twice: true).ToString(), StringComparison.Ordinal);
        MemoryChoice alone = Choose(null, twice: false);
        while (alone.TokensAtOnce != Options.ModelMaxLength)
        {
            alone = Choose(alone.Peak - 1, twice: false);
            Assert.Equal(0, alone.RecomputeLayers);
        }

        string message = Assert.Throws<UserErrorException>(() => Choose(alone.Peak - 1, twice: false)).Message;
        Assert.Contains("no layer runs twice", message, StringComparison.Ordinal);
        Assert.Equal(1, Choose(alone.Peak - 1).RecomputeLayers);
    }

    [Fact]
    public void What_cannot_fit_is_said_with_values_and_remedy()
    {
        string message = Assert.Throws<UserErrorException>(() => Choose(64L << 20)).Message;
        Assert.StartsWith("--memory_limit 64 MiB: a step with a sample of --model_max_length 512 tokens holds ", message, StringComparison.Ordinal);
        Assert.EndsWith("5 of 6 decoder layers run twice; raise it, or shorten --model_max_length", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("12G", 12L << 30)]
    [InlineData("1.5GB", 3L << 29)]
    [InlineData("800MiB", 800L << 20)]
    [InlineData("2t", 2L << 40)]
    [InlineData("4096", 4096)]
    public void Sizes_are_read(string text, long bytes) => Assert.Equal(bytes, MemoryChoice.Parse("memory_limit", text));

    [Theory]
    [InlineData("")]
    [InlineData("G")]
    [InlineData("0")]
    [InlineData("-1G")]
    [InlineData("12X")]
    [InlineData("99999999999T")]
    public void What_is_no_size_is_refused(string text) => Assert.Equal(
        $"--memory_limit {text}: expected a size such as 12G, 1.5GB or 800M",
        Assert.Throws<UserErrorException>(() => MemoryChoice.Parse("memory_limit", text)).Message);
}
