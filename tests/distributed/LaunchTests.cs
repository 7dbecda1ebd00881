using LlavaSharp.Trials;

namespace LlavaSharp.Distributed.Tests;

/// <summary>Real processes under mpirun: a few of the trials that <c>./build.sh distributed</c> runs whole, and what launch says.</summary>
public sealed class LaunchTests : IDisposable
{
    private readonly RankData _data = new();

    public void Dispose() => _data.Dispose();

    [Theory]
    [InlineData("projector", 1, 1, 2)]
    [InlineData("LoRA", 3, 3, 2)]
    [InlineData("all", 3, 1, 4)]
    public async Task Processes_train_as_one_does(string trains, int stage, int accumulation, int world)
    {
        using var matrix = new Matrix(updates: 10);
        var result = await matrix.Run(new(trains, stage, accumulation, world));
        Assert.True(result.Holds, result.ToString());
    }

    [Fact]
    public async Task Any_mixture_of_samples_over_the_ranks_trains()
    {
        using var mixtures = new Mixtures();
        var result = await mixtures.Run(100);
        Assert.True(result.Holds(100) && result.Patterns > 40, result.ToString());
    }

    [Theory]
    [InlineData("kill", 1, 1, 3)]
    [InlineData("stall", 0, 2, 0)]
    [InlineData("wrong_size", 1, 2, 1)]
    [InlineData("nan", 1, 2, 2)]
    public async Task A_fault_ends_the_job_with_one_line_and_the_run_goes_on_after_it(string kind, int rank, int step, int stage)
    {
        using var faults = new Faults();
        var result = await faults.Run(new(kind, rank, step, stage, 2));
        Assert.True(result.Holds, $"{result}\n{string.Join('\n', result.Messages)}");
    }

    [Fact]
    public async Task A_job_that_was_lost_is_started_again_as_often_as_was_asked_for()
    {
        string[] train = _data.Train("all", _data.Tiny["out"], 2, 1, 4, "--save_strategy", "steps", "--save_steps", "1");
        var outcome = await Job.Run(["launch", "--nproc", "2", "--restart", "2", .. train], "LLAVASHARP_FAULT=kill:rank=0,step=2");
        Assert.True(outcome.Code == 0, outcome.Error);
        Assert.Matches("^error: rank 0 was lost \\(signal 9, Killed\\): step 2, reduce of head, [0-9]+ bytes$", Assert.Single(outcome.Errors));
        Assert.Contains("the job ended with code 75; restart 1 of 2 goes on from the newest checkpoint", outcome.Error, StringComparison.Ordinal);
        Assert.Equal(4, Job.Logged(_data.Tiny["out"], "loss").Length);
    }

    [Fact]
    public async Task What_cannot_be_started_is_said_in_one_line()
    {
        string[] launch = ["launch", "--nproc", "2"], train = _data.Train("all", _data.Tiny["out"], 0, 1, 1);
        var (code, error, _, _) = await Job.Run([.. launch, .. train], "PATH=/nowhere");
        Assert.Equal(2, code);
        Assert.StartsWith("error: launch needs mpirun: install Open MPI", error, StringComparison.Ordinal);
        Assert.Equal("error: --nproc is missing: how many processes to start; see llavasharp launch --help\n", (await Job.Run(["launch", "train"])).Error);
        Assert.Equal("error: launch needs a verb to start: launch --nproc N train …\n", (await Job.Run(launch)).Error);
        Assert.Equal("error: launch cannot start 'demo': only train runs in several processes\n", (await Job.Run([.. launch, "demo"])).Error);
        Assert.Equal("error: RANK is set to 1, but WORLD_SIZE is not: set both, or neither\n", (await Job.Run(train, "RANK=1")).Error);
    }
}
