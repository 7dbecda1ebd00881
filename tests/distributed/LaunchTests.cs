using System.Globalization;
using LlavaSharp.Tests.Training;

namespace LlavaSharp.Distributed.Tests;

/// <summary>Real processes under mpirun, on twelve samples with and without pictures that make one update: which process sees which
/// does not matter.</summary>
public sealed class LaunchTests : IDisposable
{
    private readonly TinyRun _tiny = new();
    private readonly string _data;

    public LaunchTests() => _data = _tiny.Write("twelve.json", Enumerable.Range(0, 12).Select(i => i % 3 == 2
        ? TinyRun.Sample($"t{i}", null, "Say it", "abcd", "And", "a red car")
        : TinyRun.Sample($"t{i}", $"{i % 2}.png", "<image>\nColour?", "red", "And?", $"a car {i}")));

    /// <summary>Stage and processes; <c>./build.sh distributed</c> asks for all of them.</summary>
    public static TheoryData<int, int> Combinations => Environment.GetEnvironmentVariable("LLAVASHARP_DISTRIBUTED") == "all"
        ? new(from stage in Enumerable.Range(0, 4) from world in (int[])[2, 3, 4] select (stage, world))
        : new((3, 2), (2, 4));

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [MemberData(nameof(Combinations))]
    public async Task Processes_train_as_one_does(int stage, int world)
    {
        await Job.Succeed(Train(_tiny["one"], 1));
        await Job.Succeed([.. Launch(world), .. Train(_tiny["many"], world, "--zero", Text(stage))]);
        var (one, many) = (Job.Losses(_tiny["one"]), Job.Losses(_tiny["many"]));
        Assert.Equal(6, many.Length);
        Assert.All(one.Zip(many), p => Assert.Equal(p.First, p.Second, 1e-5 * p.First));
        Assert.True(File.Exists(Path.Combine(_tiny["many"], "model.safetensors")));
    }

    [Fact]
    public async Task A_killed_process_ends_the_job_and_a_restart_ends_as_if_nothing_had_been()
    {
        var (whole, cut) = (_tiny["whole"], _tiny["cut"]);
        string[] flags = ["--zero", "3", "--save_steps", "1", "--save_total_limit", "1"];
        await Job.Succeed([.. Launch(2), .. Train(whole, 2, flags)]);
        var (code, error, seconds) = await Job.Run([.. Launch(2), .. Train(cut, 2, flags)], "LLAVASHARP_FAULT=kill:rank=1,step=3");
        Assert.True(code is not (0 or 2), error);
        Assert.InRange(seconds, 0, 30);
        Assert.Empty(Job.Orphans(cut));
        Assert.True(Directory.Exists(Path.Combine(cut, "checkpoint-3")), error);
        (code, error, _) = await Job.Run(
            ["launch", "--nproc", "2", "--restart", "2", .. Train(cut, 2, flags)], "LLAVASHARP_FAULT=kill:rank=0,step=4");
        Assert.True(code == 0, error);
        Assert.Contains("restart 1 of 2 goes on from the newest checkpoint", error, StringComparison.Ordinal);
        Assert.Equal(Job.Losses(whole), Job.Losses(cut));
        Assert.Equal(File.ReadAllBytes(Path.Combine(whole, "model.safetensors")), File.ReadAllBytes(Path.Combine(cut, "model.safetensors")));
    }

    [Theory]
    [InlineData("stall", 75, "rank 1")]
    [InlineData("wrong_size", 75, "rank 1")]
    [InlineData("nan", 2, "update 3: the gradient is not finite")]
    public async Task A_fault_ends_the_job_in_time_with_one_line(string kind, int expected, string part)
    {
        var output = _tiny["out"];
        var (code, error, seconds) = await Job.Run(
            [.. Launch(2), .. Train(output, 2, "--zero", "2", "--ddp_timeout", "3", "--save_steps", "1")], $"LLAVASHARP_FAULT={kind}:rank=1,step=2");
        Assert.True(code == expected, $"{code}: {error}");
        Assert.Contains(part, Assert.Single(error.Split('\n'), l => l.StartsWith("error: ", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.InRange(seconds, 0, 30);
        Assert.Empty(Job.Orphans(output));
        Assert.True(Directory.Exists(Path.Combine(output, "checkpoint-2")), error);
    }

    [Fact]
    public async Task What_cannot_be_started_is_said_in_one_line()
    {
        var (code, error, _) = await Job.Run([.. Launch(2), .. Train(_tiny["out"], 2)], "PATH=/nowhere");
        Assert.Equal(2, code);
        Assert.StartsWith("error: launch needs mpirun: install Open MPI", error, StringComparison.Ordinal);
        Assert.Equal("error: --nproc is missing: how many processes to start; see llavasharp launch --help\n", (await Job.Run(["launch", "train"])).Error);
        Assert.Equal("error: launch needs a verb to start: launch --nproc N train …\n", (await Job.Run(Launch(2))).Error);
        Assert.Equal("error: launch cannot start 'demo': only train runs in several processes\n", (await Job.Run([.. Launch(2), "demo"])).Error);
        Assert.Equal("error: RANK is set to 1, but WORLD_SIZE is not: set both, or neither\n", (await Job.Run(Train(_tiny["out"], 1), "RANK=1")).Error);
    }

    private static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string[] Launch(int world) => ["launch", "--nproc", Text(world)];

    private string[] Train(string output, int world, params string[] more) =>
    [
        .. _tiny.Stage2(output), "--data_path", _data, "--group_by_modality_length", "False", "--per_device_train_batch_size", "1",
        "--gradient_accumulation_steps", Text(12 / world), "--max_steps", "6", "--threads", "1", "--learning_rate", "1e-3", .. more,
    ];
}
