using System.Text.Json;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Tests.Zero;
using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

/// <summary>Training that learns nothing is no success, and the log, the gradient and the clipping tell of one loss.</summary>
public sealed class NothingLearnedTests : IDisposable
{
    private const int Rows = 4; // of TinyRun's tower

    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(Rows)]
    [InlineData(Rows + 1)] // the begin mark and the picture: no room for a word
    public void A_picture_that_fills_the_longest_sequence_is_an_error_before_the_first_step(int length)
    {
        foreach (var more in (string[][])[[], ["--dry_run", "True"], ["--on_bad_sample", "skip"]])
        {
            var error = Host.Mistake(_tiny.Stage1(_tiny["out"], ["--model_max_length", RankRun.Text(length), .. more]));
            Assert.StartsWith(
                $"--model_max_length {length} is too short for pictures: {Rows + 2} tokens are needed up to the first one that is learned, "
                + $"the picture's rows ({Rows} a tile) among them, so nothing would be learned from the 6 samples with pictures; raise it (2048 will do",
                error,
                StringComparison.Ordinal);
            Assert.False(Directory.Exists(_tiny["out"]));
        }

        var (code, output, _) = Host.Run(["check-data", .. _tiny.Stage1(_tiny["out"])[1..], "--model_max_length", RankRun.Text(length)]);
        Assert.Equal(1, code);
        Assert.Equal(6, output.Split("too_long").Length - 1);
        Assert.Equal(length <= Rows, output.Contains("its pictures alone fill that: raise --model_max_length", StringComparison.Ordinal));
    }

    [Fact]
    public void Room_for_one_token_is_enough() =>
        Host.Succeed(_tiny.Stage1(_tiny["out"], "--model_max_length", RankRun.Text(Rows + 2), "--max_steps", "1"));

    [Fact]
    public void A_run_without_a_learned_token_is_an_error_and_leaves_no_result()
    {
        var data = _tiny.Write("long.json", Enumerable.Range(0, 2).Select(i => TinyRun.Sample($"t{i}", null, Long(), "abcd")));
        string[] train = [.. Text(data, "out", "1", "1"), "--save_steps", "1"];
        for (var again = 0; again < 2; again++)
        {
            var (code, output, error) = Host.Run(train);
            Assert.Equal((2, ""), (code, output));
            Assert.EndsWith(
                "error: nothing was learned in 2 updates, so no result is written: every answer lies past --model_max_length 512; raise it\n",
                error,
                StringComparison.Ordinal);
            Assert.DoesNotContain("NaN", error, StringComparison.Ordinal);
            Assert.Contains("nothing to learn", error, StringComparison.Ordinal);
            Assert.Equal(
                ["events.out.tfevents.0.llavasharp", "log.jsonl", "train_config.json"],
                Directory.GetFileSystemEntries(_tiny["out"]).Select(f => Path.GetFileName(f)).Order());
            Assert.All(Log("out"), l => Assert.Equal(JsonValueKind.Null, l.GetProperty("loss").ValueKind));
        }

        Assert.All(RankRun.Try(2, [.. Text(data, "ranks", "1", "1")]), e => Assert.StartsWith(
            "nothing was learned in 1 updates", Assert.IsType<UserErrorException>(e).Message, StringComparison.Ordinal));
    }

    [Fact]
    public void Samples_that_are_all_left_out_are_an_error_and_the_command_may_be_given_again()
    {
        var data = _tiny.Write("bad.json", Enumerable.Range(0, 3).Select(i => TinyRun.Sample($"t{i}", "none.png", "<image>\nWhat?", "red")));
        string[] train = [.. Text(data, "out", "1", "1"), "--on_bad_sample", "skip"];
        Assert.Contains("would leave out all 3 samples", Host.Mistake([.. train, "--dry_run", "True"]), StringComparison.Ordinal);
        for (var again = 0; again < 2; again++)
        {
            var (code, _, error) = Host.Run(train);
            Assert.Equal(2, code);
            Assert.EndsWith(
                "error: nothing was learned in 3 updates, so no result is written: samples were left out, which bad_samples.jsonl lists; "
                + "correct them (check-data names them, too)\n",
                error,
                StringComparison.Ordinal);
            Assert.Equal(3, File.ReadAllLines(Path.Combine(_tiny["out"], "bad_samples.jsonl")).Length);
        }

        // Corrected, the same command trains, and the old report is gone.
        _tiny.Write("bad.json", Enumerable.Range(0, 3).Select(i => TinyRun.Sample($"t{i}", "0.png", "<image>\nWhat?", "red")));
        Host.Succeed(train);
        Assert.False(File.Exists(Path.Combine(_tiny["out"], "bad_samples.jsonl")));
    }

    [Fact]
    public void An_update_without_tokens_is_no_loss_of_NaN()
    {
        var data = _tiny.Write("mixed.json", [TinyRun.Sample("short", null, "Say it", "abcd"), TinyRun.Sample("long", null, Long(), "abcd")]);
        var (code, output, error) = Host.Run(Text(data, "out", "1", "1"));
        Assert.True(code == 0, error);
        Assert.DoesNotContain("NaN", output + error, StringComparison.Ordinal);
        Assert.Contains("; 1 updates had nothing to learn, or were left out", output, StringComparison.Ordinal);
        Assert.Contains("nothing to learn  lr ", error, StringComparison.Ordinal);
        var losses = Log("out").Select(l => l.GetProperty("loss")).ToList();
        var loss = Assert.Single(losses, l => l.ValueKind == JsonValueKind.Number).GetDouble();
        Assert.Single(losses, l => l.ValueKind == JsonValueKind.Null);
        Assert.Contains(FormattableString.Invariant($"mean loss {loss:0.0000}, last {loss:0.0000};"), output, StringComparison.Ordinal);
        using var state = JsonDocument.Parse(File.ReadAllText(Path.Combine(_tiny["out"], "trainer_state.json")));
        Assert.Equal(loss, state.RootElement.GetProperty("train_loss").GetDouble(), 1e-12);
        var history = state.RootElement.GetProperty("log_history").EnumerateArray();
        Assert.Equal(losses.Select(l => l.ToString()), history.Select(l => l.GetProperty("loss").ToString()));
        Assert.DoesNotContain("NaN", File.ReadAllText(Path.Combine(_tiny["out"], "report.html")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, "5", "16")]
    [InlineData(1, "5", "7")]
    [InlineData(2, "3", "16")]
    public void An_epoch_shorter_than_the_accumulation_has_the_gradient_of_its_own_length(int world, string own, string asked)
    {
        var data = _tiny.Write("five.json", Answers(5));
        foreach (var (name, accumulation) in (ReadOnlySpan<(string, string)>)[("own", own), ("asked", asked)])
        {
            string[] train = [.. Text(data, name, "1", accumulation), "--num_train_epochs", "3", "--max_grad_norm", "0.5"];
            if (world == 1)
            {
                Host.Succeed(train);
            }
            else
            {
                RankRun.Succeed(world, train);
            }
        }

        Assert.Equal(3, Log("asked").Length);
        RunFolder.AssertSame(_tiny["own"], _tiny["asked"]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Micro_batches_without_tokens_thin_neither_log_nor_gradient(int world)
    {
        object[] good = [.. Answers(4)];
        var few = _tiny.Write("few.json", good);
        var missing = TinyRun.Sample("x", "none.png", "<image>\nQ", "a");
        var more = _tiny.Write("more.json", [.. good, missing, missing]);
        string[] tail = ["--on_bad_sample", "skip", "--learning_rate", "0"];
        Host.Succeed([.. Text(few, "few", "1", "4"), .. tail]);
        RankRun.Succeed(world, [.. Text(more, "more", "1", RankRun.Text(6 / world)), .. tail]);
        foreach (var name in (string[])["loss", "grad_norm"])
        {
            var (expected, actual) = (Assert.Single(RankRun.Values(_tiny["few"], name)), Assert.Single(RankRun.Values(_tiny["more"], name)));
            Assert.Equal(expected, actual, 1e-5 * Math.Abs(expected));
        }
    }

    [Fact]
    public void A_short_epoch_stopped_in_the_middle_ends_with_the_same_bytes()
    {
        var data = _tiny.Write("five.json", Answers(5));
        string[] Train(string name) => [.. Text(data, name, "1", "16"), "--num_train_epochs", "4"];
        Host.Succeed(Train("whole"));
        using var sink = new StoppingSink(2);
        Assert.ThrowsAny<OperationCanceledException>(() => FineTune.Run(TrainOptionsParser.Parse(Train("cut")[1..]).Options, sink, sink.Token));
        Assert.Equal(["checkpoint-2"], RunFolder.Checkpoints(_tiny["cut"]));
        Host.Succeed(Train("cut"));
        RunFolder.AssertSame(_tiny["whole"], _tiny["cut"]);
    }

    // Of different lengths, so that means of micro-batches differ from the mean of tokens.
    private static IEnumerable<object> Answers(int count) =>
        Enumerable.Range(0, count).Select(i => TinyRun.Sample($"t{i}", null, "Say it", string.Concat(Enumerable.Repeat("ab ", i + 1))));

    // Longer than the 512 tokens of the default, so that its answer is cut off.
    private static string Long() => string.Concat(Enumerable.Repeat("a car and ", 300));

    private string[] Text(string data, string output, string batch, string accumulation) =>
    [
        "train", "--version", "v1", "--model_name_or_path", _tiny.Llama, "--vision_tower", _tiny.Clip, "--data_path", data,
        "--image_folder", _tiny.Images, "--output_dir", _tiny[output], "--per_device_train_batch_size", batch,
        "--gradient_accumulation_steps", accumulation, "--learning_rate", "1e-2",
    ];

    private JsonElement[] Log(string name) =>
        [.. File.ReadAllLines(Path.Combine(_tiny[name], "log.jsonl")).Select(l => JsonDocument.Parse(l).RootElement)];
}
