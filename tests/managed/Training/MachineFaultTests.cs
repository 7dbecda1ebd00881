using LlavaSharp.Interop;
using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

/// <summary>Memory or a disk that gives out while a run trains: what is trained is kept, and the error is the user's.</summary>
public sealed class MachineFaultTests : IDisposable
{
    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Fact]
    public void Memory_that_runs_out_leaves_a_checkpoint_that_the_run_goes_on_from()
    {
        var (whole, cut) = (_tiny["whole"], _tiny["cut"]);
        FineTune.Run(Options(whole), NullProgress.Instance);
        var sink = new FailingSink(3, new InsufficientMemoryException("out of memory: 8 bytes could not be allocated"));
        var error = Assert.Throws<UserErrorException>(() => FineTune.Run(Options(cut), sink));
        Assert.Equal("update 4: out of memory: 8 bytes could not be allocated", error.Message);
        Assert.Equal($"stopped after update 3; the same command goes on from {Path.Combine(cut, "checkpoint-3")}", sink.Warnings[^1]);
        FineTune.Run(Options(cut), NullProgress.Instance);
        RunFolder.AssertSame(whole, cut);
    }

    [Fact]
    public void Where_no_checkpoint_can_be_written_the_last_one_is_named()
    {
        var output = _tiny["out"];
        var sink = new FailingSink(3, new IOException("No space left on device"), () =>
        {
            // A file in the place of the checkpoint's folder.
            File.WriteAllText(Path.Combine(output, "checkpoint-3"), "");
        });
        var error = Assert.Throws<UserErrorException>(() => FineTune.Run(Options(output, "--save_steps", "2"), sink));
        Assert.Equal("update 4: No space left on device", error.Message);
        Assert.StartsWith("no checkpoint of update 3 could be written: ", sink.Warnings[^2]);
        Assert.Equal($"stopped after update 3; the same command goes on from {Path.Combine(output, "checkpoint-2")}", sink.Warnings[^1]);
    }

    [Fact]
    public void A_log_that_cannot_be_written_does_not_end_the_run()
    {
        var output = Directory.CreateDirectory(_tiny["out"]).FullName;
        File.CreateSymbolicLink(Path.Combine(output, "log.jsonl"), "/dev/full");
        File.CreateSymbolicLink(Path.Combine(output, LlavaSharp.Reporting.EventFile.FileName), "/dev/full");
        using var sink = new StoppingSink();
        Assert.Equal(6, FineTune.Run(Options(output, "--overwrite_output_dir", "True"), sink).Steps.Count);
        Assert.Equal(2, sink.Warnings.Count(w => w.Contains("cannot be written: No space left on device", StringComparison.Ordinal)));
        Assert.True(File.Exists(Path.Combine(output, "trainer_state.json")));
    }

    [Fact]
    public void A_wish_to_stop_is_heard_before_the_first_update()
    {
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => FineTune.Run(Options(_tiny["out"]), NullProgress.Instance, stop.Token));
        Assert.False(Directory.Exists(_tiny["out"]));
    }

    [Fact]
    public void Faults_of_the_machine_are_told_from_those_of_the_program()
    {
        Assert.Equal("full", MachineFault.Line(new IOException("full")));
        Assert.Equal("no", MachineFault.Line(new UnauthorizedAccessException("no")));
        Assert.Equal("one", MachineFault.Line(new AggregateException(new IOException("one"))));
        Assert.Equal("no engine", MachineFault.Line(new EngineException(EngineStatus.Unsupported, "no engine")));
        Assert.Equal("out of memory: 1 byte", MachineFault.Line(new InsufficientMemoryException("out of memory: 1 byte")));
        Assert.NotNull(MachineFault.Line(new AggregateException(new AggregateException(new IOException("deep")))));
        Assert.Null(MachineFault.Line(new AggregateException(new IOException("a"), new IOException("b"))));
        Assert.Null(MachineFault.Line(new InvalidOperationException("ours")));
        Assert.Null(MachineFault.Line(new EngineException(EngineStatus.Internal, "ours")));
    }

    private TrainOptions Options(string output, params string[] more) => TrainOptionsParser.Parse(
        _tiny.Stage1(output, ["--max_steps", "6", "--threads", "1", "--dataloader_num_workers", "1", .. more])[1..], 1).Options;

    // As if memory gave out after an update.
    private sealed class FailingSink(int after, Exception fault, Action? before = null) : IProgressSink
    {
        public List<string> Warnings { get; } = [];

        public void Note(string line)
        {
        }

        public void Warn(string line) => Warnings.Add(line);

        public void Begin(string name, int totalSteps)
        {
        }

        public void Step(StepRecord step)
        {
            if (step.Step == after)
            {
                before?.Invoke();
                throw fault;
            }
        }

        public void End()
        {
        }
    }
}
