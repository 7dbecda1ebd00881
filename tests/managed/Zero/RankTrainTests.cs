using LlavaSharp.Checkpoints;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Tests.Training;
using static LlavaSharp.Tests.Zero.RankRun;

namespace LlavaSharp.Tests.Zero;

/// <summary>
/// Training over ranks that are threads, against one process. An update holds the whole data here, twelve samples, and its loss is the mean
/// of the samples' means, or of all tokens where a micro-batch has several, so that it does not matter which rank sees which sample.
/// </summary>
public sealed class RankTrainTests : IDisposable
{
    private readonly TinyRun _tiny = new();
    private readonly string _data, _captions;

    public RankTrainTests()
    {
        _captions = _tiny.Write("captions.json", Enumerable.Range(0, 12).Select(i => TinyRun.Sample($"c{i}", $"{i % 3}.png", "<image>\nWhat?", $"a red car {i}")));
        _data = _tiny.Write("twelve.json", Enumerable.Range(0, 12).Select(i => i % 3 == 2
        ? TinyRun.Sample($"t{i}", null, "Say it", "abcd", "And", "a red car")
        : TinyRun.Sample($"t{i}", $"{i % 2}.png", "<image>\nColour?", "red", "And?", $"a car {i}")));
    }

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData("full", 0, 2, 6)]
    [InlineData("full", 1, 4, 1)]
    [InlineData("full", 2, 2, 2)]
    [InlineData("full", 3, 4, 3)]
    [InlineData("full", 3, 3, 4)]
    [InlineData("lora", 3, 2, 1)]
    [InlineData("lora", 2, 4, 3)]
    [InlineData("dora", 3, 2, 1)]
    [InlineData("nf4", 2, 2, 3)]
    [InlineData("nf4", 1, 3, 1)]
    [InlineData("projector", 3, 4, 1)]
    [InlineData("projector", 1, 2, 3)]
    [InlineData("tower", 3, 4, 3)]
    [InlineData("tower", 2, 2, 1)]
    [InlineData("tower", 0, 3, 2)]
    public void Trains_as_one_process_does(string what, int stage, int world, int accumulation)
    {
        var (one, many) = (_tiny["one"], _tiny["many"]);
        Host.Succeed(Arguments(what, one, 0, 1, accumulation * world));
        Succeed(world, Arguments(what, many, stage, world, accumulation));
        foreach (var name in (string[])["loss", "grad_norm"])
        {
            var (expected, actual) = (Values(one, name), Values(many, name));
            Assert.Equal(4, actual.Length);
            Assert.All(expected.Zip(actual), p => Assert.Equal(p.First, p.Second, 1e-5 * Math.Abs(p.First)));
        }

        SameWeights(one, many, 1e-5);
        var again = _tiny["again"];
        Succeed(world, Arguments(what, again, stage, world, accumulation));
        Assert.Equal(Losses(many), Losses(again));
        SameWeights(many, again, 0);
    }

    [Theory]
    [InlineData("full", 3, 2, 2, 3)]
    [InlineData("full", 2, 2, 2, 2)]
    [InlineData("lora", 3, 4, 4, 3)]
    [InlineData("full", 1, 3, 3, 1)]
    [InlineData("nf4", 2, 2, 2, 1)]
    [InlineData("bfloat16", 1, 2, 2, 2)]
    public void Goes_on_with_the_same_bytes(string what, int stage, int world, int world2, int stage2)
    {
        var (whole, cut) = (_tiny["whole"], _tiny["cut"]);
        string[] constant = ["--lr_scheduler_type", "constant"];
        Succeed(world, Arguments(what, whole, stage, world, 1, ["--max_steps", "4", .. constant]));
        Succeed(world, Arguments(what, cut, stage, world, 1, ["--max_steps", "2", "--save_steps", "2", .. constant]));
        Succeed(world2, Arguments(what, cut, stage2, world2, 1, ["--max_steps", "4", .. constant]));
        Assert.Equal(Losses(whole), Losses(cut));
        SameWeights(whole, cut, 0);
    }

    /// <summary>A DeepSpeed file that keeps the state on a disk changes no byte of the result, and leaves nothing there.</summary>
    [Theory]
    [InlineData("full", 3, 2)]
    [InlineData("lora", 2, 2)]
    [InlineData("full", 0, 1)]
    public void State_in_files_gives_the_same_bytes(string what, int stage, int world)
    {
        var (memory, files, disk) = (_tiny["memory"], _tiny["files"], _tiny["disk"]);
        Directory.CreateDirectory(disk);
        Run(world, Arguments(what, memory, stage, world, 2));
        var offload = $$"""{"device": "nvme", "nvme_path": "{{disk}}"}""";
        File.WriteAllText(_tiny["ds.json"], $$"""
            {"gradient_clipping": "auto", "zero_optimization": {"stage": {{stage}}, "offload_optimizer": {{offload}}, "offload_param": {{offload}} } }
            """);
        Run(world, Arguments(what, files, stage, world, 2, ["--deepspeed", _tiny["ds.json"]]));
        Assert.Equal(Losses(memory), Losses(files));
        SameWeights(memory, files, 0);
        Assert.Empty(Directory.EnumerateFileSystemEntries(disk));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_disk_that_takes_no_files_ends_all_ranks_with_one_sentence(int world)
    {
        File.WriteAllText(_tiny["ds.json"], """
            {"zero_optimization": {"stage": 1, "offload_optimizer": {"device": "nvme", "nvme_path": "/proc"}}}
            """);
        string[] arguments = Arguments("full", _tiny["out"], 1, world, 1, ["--deepspeed", _tiny["ds.json"]]);
        const string Sentence = "nvme_path: no file can be made in '/proc': No such file or directory; make room there, or name another folder";
        Assert.All(Try(world, arguments), e => Assert.Contains(Sentence, Assert.IsType<UserErrorException>(e).Message));
    }

    [Theory]
    [InlineData(3, 4, 2)]
    [InlineData(3, 2, 4)]
    [InlineData(2, 4, 1)]
    [InlineData(1, 1, 2)]
    public void Goes_on_with_other_ranks(int stage, int world, int world2)
    {
        var (whole, cut) = (_tiny["whole"], _tiny["cut"]);
        string[] constant = ["--lr_scheduler_type", "constant"];
        Run(1, Arguments("full", whole, 0, 1, 12, ["--max_steps", "4", .. constant]));
        Run(world, Arguments("full", cut, stage, world, 12 / world, ["--max_steps", "2", "--save_steps", "2", .. constant]));
        Run(world2, Arguments("full", cut, stage, world2, 12 / world2, ["--max_steps", "4", .. constant]));
        Assert.All(Losses(whole).Zip(Losses(cut)), p => Assert.Equal(p.First, p.Second, 1e-5 * p.First));
        SameWeights(whole, cut, 1e-5);
    }

    [Theory]
    [InlineData(3, 4)]
    [InlineData(2, 2)]
    [InlineData(0, 1)]
    public void A_checkpoint_in_shards_becomes_the_model_that_the_run_wrote(int stage, int world)
    {
        var output = _tiny["out"];
        var arguments = Arguments("full", output, stage, world, 12 / world, "--save_steps", "4");
        if (world == 1)
        {
            Host.Succeed(arguments);
        }
        else
        {
            Succeed(world, arguments);
        }

        var checkpoint = Path.Combine(output, "checkpoint-4");
        Assert.Equal(stage == 3, world > 1 && Shards(checkpoint, "weight.layer.0"));
        Host.Succeed("convert", "--from", checkpoint, "--to", _tiny["hf"], "--layout", "hf");
        SameWeights(output, _tiny["hf"], 0);
        Host.Succeed("convert", "--from", checkpoint, "--to", _tiny["llava"], "--layout", "llava", "--dtype", "bf16");
        File.WriteAllText(Path.Combine(checkpoint, "state.json"), "{}");
        Assert.Contains("checkpoint-4 is damaged: state.json", Host.Mistake("convert", "--from", checkpoint, "--to", _tiny["x"], "--layout", "hf"));
    }

    [Theory]
    [InlineData("lora", "holds an adapter: use merge-lora with --model ")]
    [InlineData("projector", "is of stage 1: convert --from ")]
    public void A_checkpoint_that_is_no_model_says_what_to_do(string what, string expected)
    {
        Host.Succeed(Arguments(what, _tiny["out"], 0, 1, 12, "--save_steps", "4"));
        var checkpoint = Path.Combine(_tiny["out"], "checkpoint-4");
        Assert.Contains(expected, Host.Mistake("convert", "--from", checkpoint, "--to", _tiny["x"], "--layout", "hf"));
    }

    [Fact]
    public void What_goes_wrong_on_one_rank_ends_all_with_one_sentence()
    {
        var bad = _tiny.Write("bad.json", Enumerable.Range(0, 8).Select(i =>
            TinyRun.Sample($"t{i}", i == 5 ? "gone.png" : "0.png", "<image>\nColour?", "red")));
        var errors = Try(2, Arguments("full", _tiny["out"], 3, 2, 1, "--data_path", bad));
        Assert.All(errors, e => Assert.IsType<UserErrorException>(e));
        Assert.Single(errors.Select(e => e!.Message).Distinct());
        Assert.Matches("^rank [01]: .*gone.png", errors[0]!.Message);
    }

    [Fact]
    public void Ranks_that_differ_are_named_before_the_first_step()
    {
        var errors = Try(4, Arguments("full", _tiny["out"], 3, 2, 1), (rank, o) => rank == 2 ? o with { LearningRate = 7 } : o);
        Assert.All(errors, e => Assert.Equal(
            "the ranks do not agree on the flags: rank 2 differs from rank 0; start every rank with the same build, command and files",
            Assert.IsType<UserErrorException>(e).Message));
        errors = Try(3, Arguments("full", _tiny["out2"], 3, 3, 1), (rank, o) => rank == 0 ? o with { LoraEnable = true } : o);
        Assert.All(errors, e => Assert.StartsWith("the ranks do not agree on the model: ranks 1, 2 differ from rank 0", e!.Message));
    }

    [Fact]
    public void A_wish_to_stop_on_one_rank_stops_all_and_keeps_the_state()
    {
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        var errors = Try(2, Arguments("full", _tiny["out"], 3, 2, 1), stops: [default, stop.Token]);
        Assert.All(errors, e => Assert.IsAssignableFrom<OperationCanceledException>(e));
    }

    [Fact]
    public void A_number_that_is_none_is_traced_to_its_samples_and_may_be_passed_over()
    {
        var fault = LlavaSharp.Zero.FaultSwitch.Parse("nan:rank=1,step=2");
        var arguments = Arguments("full", _tiny["out"], 2, 2, 1);
        var errors = Try(2, arguments, (_, o) => o with { Fault = fault });
        Assert.All(errors, e => Assert.Matches(
            "^update 3: the gradient is not finite \\(step 2: .* from rank 1 .*nothing was updated\\) on rank 0: sample .*; rank 1: sample ",
            Assert.IsType<UserErrorException>(e).Message));
        Assert.True(Directory.Exists(Path.Combine(_tiny["out"], "checkpoint-2")));
        arguments = Arguments("full", _tiny["skip"], 2, 2, 1);
        Assert.All(Try(2, arguments, (_, o) => o with { Fault = fault, OnNan = "skip" }), Assert.Null);
        Assert.Equal([false, false, true, false], Values(_tiny["skip"], "grad_norm").Select(double.IsNaN));
    }

    /// <summary>Samples with and without pictures fall on four ranks as chance has it, a rank without any picture among them.</summary>
    [Fact]
    public void Any_mixture_of_samples_over_the_ranks_trains()
    {
        var random = new Random(3);
        for (var trial = 0; trial < 6; trial++)
        {
            var data = _tiny.Write($"mix{trial}.json", Enumerable.Range(0, 12).Select(i => random.Next(2) == 0
                ? TinyRun.Sample($"t{i}", null, "Say", $"abc {i}")
                : TinyRun.Sample($"t{i}", $"{random.Next(3)}.png", "<image>\nColour?", $"red {i}")));
            var (one, many) = (_tiny[$"one{trial}"], _tiny[$"many{trial}"]);
            Host.Succeed(Arguments("full", one, 0, 1, 12, "--data_path", data, "--max_steps", "2"));
            Succeed(4, Arguments("full", many, 3, 4, 3, "--data_path", data, "--max_steps", "2"));
            Assert.All(Losses(one).Zip(Losses(many)), p => Assert.Equal(p.First, p.Second, 1e-5 * p.First));
        }
    }

    private string[] Arguments(string what, string output, int stage, int world, int accumulation, params string[] more) =>
    [
        .. what == "projector" ? _tiny.Stage1(output) : _tiny.Stage2(output),
        .. what == "dora" ? (string[])["--use_dora", "True"] : [],
        .. what == "nf4" ? (string[])["--bits", "4"] : what == "bfloat16" ? ["--weights", "bfloat16"] : [],
        .. what is "lora" or "dora" or "nf4" ? (string[])["--lora_enable", "True", "--lora_r", "4", "--lora_alpha", "8", "--lora_dropout", "0"] : [],
        .. what == "tower" ? (string[])["--unfreeze_mm_vision_tower", "True", "--mm_vision_tower_lr", "5e-4"] : [],
        "--data_path", what == "projector" ? _captions : _data, "--group_by_modality_length", "False", "--max_steps", "4",
        "--gradient_accumulation_steps", Text(accumulation), "--per_device_train_batch_size", Text(12 / (world * accumulation)),
        "--loss_normalization", world * accumulation == 12 ? "micro_batch" : "tokens", "--zero", Text(stage), "--threads", "1", "--learning_rate", "1e-3", .. more,
    ];

    private static bool Shards(string checkpoint, string tensor)
    {
        using var file = SafetensorsFile.Open(Directory.GetFiles(checkpoint, "shard-00000-*")[0]);
        return file.Contains(tensor);
    }

    private static void SameWeights(string expected, string actual, double tolerance)
    {
        var files = Directory.GetFiles(expected, "*.safetensors").Select(f => Path.GetFileName(f)).ToArray();
        Assert.NotEmpty(files);
        foreach (var name in files)
        {
            using var one = SafetensorsFile.Open(Path.Combine(expected, name));
            using var two = SafetensorsFile.Open(Path.Combine(actual, name));
            Assert.Equal(one.Names, two.Names);
            foreach (var tensor in one.Names)
            {
                var (a, b) = (Floats(one, tensor), Floats(two, tensor));
                var largest = a.Max(Math.Abs);
                Assert.All(a.Zip(b), p => Assert.True(Math.Abs(p.First - p.Second) <= tolerance * largest, $"{tensor}: {p}"));
            }
        }

        static float[] Floats(SafetensorsFile file, string name)
        {
            var values = new float[file[name].Shape.Aggregate(1L, (x, y) => x * y)];
            TensorConvert.ToFloats(file[name].Type, file.Bytes(name), 0, values);
            return values;
        }
    }

    private static void Run(int world, string[] arguments)
    {
        if (world == 1)
        {
            Host.Succeed(arguments);
        }
        else
        {
            Succeed(world, arguments);
        }
    }
}
