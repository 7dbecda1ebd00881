using System.Text.Json.Nodes;
using LlavaSharp.Training;
using LlavaSharp.Training.Resume;

namespace LlavaSharp.Tests.Training;

/// <summary>A run that stops and goes on is the run that never stopped, bit by bit.</summary>
public sealed class ResumeTests : IDisposable
{
    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData(1, 1)] // between epochs: six samples in twos are three micro-batches, an update takes two
    [InlineData(1, 2)]
    [InlineData(1, 3)]
    [InlineData(2, 1)]
    [InlineData(2, 5)]
    public void A_run_that_was_stopped_ends_with_the_same_bytes(int stage, int after)
    {
        var (whole, cut) = (_tiny["whole"], _tiny["cut"]);
        Train(stage, whole);
        var warnings = Train(stage, cut, after);
        Assert.Equal([$"stopped after update {after}; the same command goes on from {Path.Combine(cut, $"checkpoint-{after}")}"], warnings);
        Assert.False(File.Exists(Path.Combine(cut, "trainer_state.json")));
        Assert.Empty(Train(stage, cut));
        RunFolder.AssertSame(whole, cut);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void The_log_is_cut_back_to_the_checkpoint(int loggingSteps)
    {
        string[] flags = ["--save_steps", "2", "--logging_steps", $"{loggingSteps}"];
        var (whole, cut) = (_tiny["whole"], _tiny["cut"]);
        Train(2, whole, flags: flags);
        Train(2, cut, 5, flags);
        Directory.Delete(Path.Combine(cut, "checkpoint-5"), true);
        File.AppendAllText(Path.Combine(cut, "log.jsonl"), "{\"step\":6, \"half of a");
        Train(2, cut, flags: flags);
        RunFolder.AssertSame(whole, cut);
        Assert.Equal(["checkpoint-2", "checkpoint-4", "checkpoint-6", "checkpoint-8"], RunFolder.Checkpoints(cut));
    }

    [Fact]
    public void A_damaged_checkpoint_is_named_and_the_one_before_is_taken()
    {
        var (whole, cut) = (_tiny["whole"], _tiny["cut"]);
        Train(2, whole);
        Train(2, cut, 3, ["--save_steps", "1"]);
        foreach (var (file, n) in (ReadOnlySpan<(string, int)>)[("optimizer.safetensors", 3), ("manifest.json", 2)])
        {
            var path = Path.Combine(cut, $"checkpoint-{n}", file);
            if (n == 3)
            {
                RunFolder.Damage(path);
            }
            else
            {
                File.Delete(path);
            }
        }

        var warnings = Train(2, cut);
        Assert.Equal(
            [
                $"checkpoint-3 is damaged: optimizer.safetensors has another SHA-256 than when it was written; it is now {Path.Combine(cut, "damaged-checkpoint-3")}",
                $"checkpoint-2 is damaged: manifest.json is missing; it is now {Path.Combine(cut, "damaged-checkpoint-2")}",
            ],
            warnings);
        RunFolder.AssertSame(whole, cut);
    }

    [Fact]
    public void A_checkpoint_whose_files_were_moved_and_linked_goes_on()
    {
        var (whole, cut) = (_tiny["whole"], _tiny["cut"]);
        Train(2, whole);
        Train(2, cut, 2);
        var moved = Directory.CreateDirectory(_tiny["blobs"]);
        foreach (var file in Directory.GetFiles(Path.Combine(cut, "checkpoint-2")))
        {
            var blob = Path.Combine(moved.FullName, Guid.NewGuid().ToString("N"));
            File.Move(file, blob);
            File.CreateSymbolicLink(file, blob);
        }

        Assert.Empty(Train(2, cut));
        RunFolder.AssertSame(whole, cut);
    }

    [Fact]
    public void Checkpoints_that_cannot_be_used_are_refused_by_name()
    {
        var cut = _tiny["cut"];
        Train(2, cut, 1);
        var path = Path.Combine(cut, "checkpoint-1");
        Assert.StartsWith("checkpoint-1 was made with --seed 42, not 7: ", Mistake("--seed", "7"));
        Assert.StartsWith("checkpoint-1 was made with --per_device_train_batch_size 3, not 2: ", Mistake("--per_device_train_batch_size", "2"));
        Assert.StartsWith("checkpoint-1 trains other parameters: ", Mistake("--freeze_mm_mlp_adapter", "True"));
        Assert.StartsWith("checkpoint-1 was made with 6 samples, --data_path has 1", Mistake(
            "--data_path", _tiny.Write("one.json", [TinyRun.Sample("x", null, "Say", "a")])));
        Assert.Equal($"--resume {cut}/none does not exist; name a checkpoint-N folder, or auto", Mistake("--resume", $"{cut}/none"));
        Assert.StartsWith($"--output_dir {cut} is not empty; ", Mistake("--resume", "no"));
        RunFolder.Damage(Path.Combine(path, "weights.safetensors"));
        Assert.Equal(
            $"--resume {path} is damaged: weights.safetensors has another SHA-256 than when it was written; name another checkpoint, or auto",
            Mistake("--resume", path));
        File.AppendAllText(Path.Combine(path, "history.jsonl"), " ");
        Assert.StartsWith($"no checkpoint in {cut} is whole; the newest, checkpoint-1: history.jsonl has ", Mistake());
        Assert.Equal(["checkpoint-1"], RunFolder.Checkpoints(cut));

        string Mistake(params string[] flags) => Assert.Throws<UserErrorException>(() => Train(2, cut, flags: flags)).Message;
    }

    [Fact]
    public void What_may_change_is_warned_of()
    {
        var cut = _tiny["cut"];
        Train(2, cut, 1);
        var state = Path.Combine(cut, "checkpoint-1", RunState.FileName);
        var json = JsonNode.Parse(File.ReadAllText(state))!;
        json["threads"] = 99;
        File.WriteAllText(state, json.ToJsonString());
        File.Delete(Path.Combine(cut, "checkpoint-1", CheckpointManifest.FileName));
        CheckpointManifest.Write(Path.Combine(cut, "checkpoint-1"));
        File.AppendAllText(_tiny.Talks, "\n");
        var warnings = Train(2, cut, flags: ["--learning_rate", "0.5", "--max_steps", "2", "--threads", "1"]);
        Assert.Equal(4, warnings.Count);
        Assert.Contains(warnings, w => w.StartsWith("--learning_rate is 0.5, checkpoint-1 was made with 0.01: ", StringComparison.Ordinal));
        Assert.Contains(warnings, w => w.StartsWith("--max_steps is 2, checkpoint-1 was made with -1: ", StringComparison.Ordinal));
        Assert.Contains(warnings, w => w.StartsWith("checkpoint-1 was made with 99 threads, this run has 1: ", StringComparison.Ordinal));
        Assert.Contains(warnings, w => w.StartsWith("the training file has changed since checkpoint-1", StringComparison.Ordinal));
    }

    [Fact]
    public void A_checkpoint_of_another_folder_may_be_gone_on_from()
    {
        var (whole, cut, branch) = (_tiny["whole"], _tiny["cut"], _tiny["branch"]);
        Train(1, whole);
        Train(1, cut, 2);
        Train(1, branch, flags: ["--resume_from_checkpoint", Path.Combine(cut, "checkpoint-2")]);
        RunFolder.AssertSame(whole, branch);
    }

    [Fact]
    public void Beginning_anew_removes_the_old_states()
    {
        var cut = _tiny["cut"];
        Train(1, cut, 2);
        Train(1, cut, 1, ["--resume", "no", "--overwrite_output_dir"]);
        Assert.Equal(["checkpoint-1"], RunFolder.Checkpoints(cut));
    }

    [Fact]
    public void A_run_killed_before_its_first_checkpoint_may_be_started_again()
    {
        var cut = _tiny["cut"];
        Directory.CreateDirectory(Path.Combine(cut, $"tmp-checkpoint-1-4194305-{Guid.NewGuid():N}"));
        File.WriteAllText(Path.Combine(cut, "log.jsonl"), "{");
        Train(1, cut);
        Assert.Empty(RunFolder.Checkpoints(cut));
    }

    [Fact]
    public void A_run_that_a_sample_ends_keeps_its_whole_updates()
    {
        var (whole, cut) = (_tiny["whole"], _tiny["cut"]);
        Train(1, whole);
        var picture = Path.Combine(_tiny.Images, "0.png");
        var bytes = File.ReadAllBytes(picture);
        var sink = new BreakingSink(2, picture);
        Assert.Throws<UserErrorException>(() => FineTune.Run(Options(1, cut, ["--dataloader_num_workers", "0"]), sink));
        Assert.Equal(["checkpoint-2"], RunFolder.Checkpoints(cut));
        File.WriteAllBytes(picture, bytes);
        Train(1, cut);
        RunFolder.AssertSame(whole, cut);
    }

    [Fact]
    public void Stage_1_checkpoints_hold_what_the_recipes_hold()
    {
        Train(1, _tiny["a"], flags: ["--save_strategy", "epoch", "--save_total_limit", "2"]);
        Assert.Equal(["checkpoint-2", "checkpoint-3"], RunFolder.Checkpoints(_tiny["a"])); // two thirds of an epoch an update
        var files = Directory.GetFiles(Path.Combine(_tiny["a"], "checkpoint-3")).Select(f => Path.GetFileName(f)).Order();
        Assert.Equal(
            [
                "config.json", "history.jsonl", "manifest.json", "mm_projector.bin", "optimizer.safetensors", "state.json", "train_config.json",
                "weights.safetensors",
            ],
            files);
    }

    private List<string> Train(int stage, string output, int stopAfter = int.MaxValue, string[]? flags = null)
    {
        using var sink = new StoppingSink(stopAfter);
        var options = Options(stage, output, flags ?? []);
        if (stopAfter < int.MaxValue)
        {
            Assert.Throws<OperationCanceledException>(() => FineTune.Run(options, sink, sink.Token));
        }
        else
        {
            FineTune.Run(options, sink);
        }

        sink.Warnings.RemoveAll(w => w.StartsWith("the projector is fresh", StringComparison.Ordinal));
        return sink.Warnings;
    }

    private TrainOptions Options(int stage, string output, string[] flags) =>
        TrainOptionsParser.Parse((stage == 1 ? _tiny.Stage1(output, flags) : _tiny.Stage2(output, flags))[1..]).Options;

    // Spoils a picture while the run goes on.
    private sealed class BreakingSink(int after, string picture) : IProgressSink
    {
        public void Note(string line)
        {
        }

        public void Warn(string line)
        {
        }

        public void Begin(string name, int totalSteps)
        {
        }

        public void Step(StepRecord step)
        {
            if (step.Step == after)
            {
                File.WriteAllText(picture, "no picture");
            }
        }

        public void End()
        {
        }
    }
}
