using System.Text.Json;
using LlavaSharp.Tests.Training;

namespace LlavaSharp.Tests.Cli;

/// <summary>check-data, show-sample, and what train does with bad samples, as a user meets them.</summary>
public sealed class DataCommandTests : IDisposable
{
    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Fact]
    public void A_sample_for_programs()
    {
        var (code, output, _) = Host.Run(Show("--index", "0..2", "--json"));
        Assert.Equal(0, code);
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(3, lines.Length);
        using var first = JsonDocument.Parse(lines[0]);
        Assert.Equal(["index", "input_ids", "labels", "images"], first.RootElement.EnumerateObject().Select(p => p.Name));
        int[] ids = [.. first.RootElement.GetProperty("input_ids").EnumerateArray().Select(e => e.GetInt32())];
        int[] labels = [.. first.RootElement.GetProperty("labels").EnumerateArray().Select(e => e.GetInt32())];
        Assert.Single(ids, id => id == -200);
        Assert.Equal((1, -100), (ids[0], labels[0]));
        Assert.Equal(2, labels[^1]);
        Assert.Equal(["0.png"], first.RootElement.GetProperty("images").EnumerateArray().Select(e => e.GetString()));
        using var third = JsonDocument.Parse(lines[2]);
        Assert.Empty(third.RootElement.GetProperty("images").EnumerateArray());
        Assert.Equal(2, third.RootElement.GetProperty("index").GetInt32());
    }

    [Fact]
    public void A_sample_for_people()
    {
        var (code, output, _) = Host.Run(Show("--index=1"));
        Assert.Equal(0, code);
        Assert.Contains("sample 1 (id \"t1\"): ", output, StringComparison.Ordinal);
        Assert.Contains("image 1.png: 29 × 33 -> 28 × 28 (pad), 4 rows", output, StringComparison.Ordinal);
        Assert.Contains("image 1.png goes here", output, StringComparison.Ordinal);
        Assert.Contains("USER: <image>", output, StringComparison.Ordinal);
        Assert.Contains("*       2  \"</s>\"", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--index is missing: a number, or A..B")]
    [InlineData("--index 9: ", "--index", "9")]
    [InlineData("--index 3..1: expected a number from 0, or a range such as 0..999", "--index", "3..1")]
    [InlineData("--index x: expected", "--index", "x")]
    [InlineData("--index needs a value", "--index")]
    [InlineData("unknown flag --indx", "--indx", "1")]
    public void Mistakes_of_show_sample(string expected, params string[] more) =>
        Assert.StartsWith(expected, Host.Mistake(Show(more)), StringComparison.Ordinal);

    // A data file alone may not name files of this machine; the folder that it may name them in is the user's to give.
    [Fact]
    public void An_absolute_path_without_an_image_folder_says_how_it_can_be_read()
    {
        var picture = Path.Combine(Path.GetFullPath(_tiny.Images), "0.png");
        object[] turns = [new { from = "human", value = "<image>\nWhat?" }, new { from = "gpt", value = "It." }];
        var data = _tiny.Write("absolute.json", [new { id = "a", image = picture, conversations = turns }]);
        string[] check = ["check-data", "--version", "v1", "--data_path", data];
        var (code, output, _) = Host.Run(check);
        Assert.Equal(1, code);
        Assert.Contains(
            $"it has an image \"{picture}\", but no --image_folder is given; give the folder that holds the pictures (/ holds all)",
            output,
            StringComparison.Ordinal);
        Assert.Equal(0, Host.Run([.. check, "--image_folder", "/"]).Code);
        Assert.Equal(0, Host.Run([.. check, "--image_folder", _tiny.Images]).Code);
    }

    [Fact]
    public void Nothing_wrong_is_0_and_something_wrong_is_1()
    {
        string[] check = ["check-data", "--version", "v1", "--data_path", _tiny.Captions, "--image_folder", _tiny.Images];
        var (code, output, error) = Host.Run(check);
        Assert.Equal((0, ""), (code, output));
        Assert.Contains("6 samples checked in ", error, StringComparison.Ordinal);
        File.Delete(Path.Combine(_tiny.Images, "2.png"));
        (code, output, error) = Host.Run(check);
        Assert.Equal(1, code);
        Assert.StartsWith($"{_tiny.Captions}: sample 2: image_missing: ", output, StringComparison.Ordinal);
        Assert.Contains("6 samples checked in ", error, StringComparison.Ordinal);
        Assert.Contains("2 with a fault: 2 image_missing", error, StringComparison.Ordinal);
        (code, output, _) = Host.Run([.. check, "--json"]);
        Assert.Equal(1, code);
        using var line = JsonDocument.Parse(output.Split('\n')[1]);
        Assert.Equal((5, "image_missing"), (line.RootElement.GetProperty("index").GetInt32(), line.RootElement.GetProperty("fault").GetString()));
    }

    [Fact]
    public void A_training_command_is_checked_by_changing_its_verb()
    {
        var (code, output, _) = Host.Run(["check-data", .. _tiny.Stage2(_tiny["out"])[1..]]);
        Assert.Equal(0, code); // repeated rows are trained: they are notes
        Assert.Equal(
            [3, 4, 5], output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split("sample ")[1][0] - '0'));
        Assert.Contains("sample 5: note: duplicate: the same images and turns as sample 2", output, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_tiny["out"]));
    }

    [Fact]
    public void Skip_trains_on_the_rest_and_says_what_was_left_out()
    {
        var data = _tiny.Write("some.json", Enumerable.Range(0, 12).Select(i => i % 4 == 1
            ? TinyRun.Sample($"s{i}", "none.png", "<image>\nWhat?", $"gone {i}")
            : TinyRun.Sample($"s{i}", $"{i % 3}.png", "<image>\nWhat?", $"a car {i}")));
        string[] arguments = [.. _tiny.Stage1(_tiny["skip"], "--data_path", data, "--num_train_epochs", "1", "--gradient_accumulation_steps", "1")];
        var (code, _, error) = Host.Run(arguments);
        Assert.Equal(2, code);
        Assert.Contains($"error: {data}: sample ", error, StringComparison.Ordinal);
        Directory.Delete(_tiny["skip"], recursive: true);
        (code, _, error) = Host.Run([.. arguments, "--on_bad_sample", "skip"]);
        Assert.True(code == 0, error);
        var log = File.ReadAllLines(Path.Combine(_tiny["skip"], "log.jsonl")).Select(l => JsonDocument.Parse(l).RootElement).ToList();
        Assert.Equal(9, log.Sum(l => l.GetProperty("samples").GetInt32()));
        Assert.Equal(3, log.Sum(l => l.GetProperty("skipped_samples").GetInt32()));
        var bad = File.ReadAllLines(Path.Combine(_tiny["skip"], "bad_samples.jsonl")).Select(l => JsonDocument.Parse(l).RootElement).ToList();
        Assert.Equal([1, 5, 9], bad.Select(l => l.GetProperty("index").GetInt32()));
        Assert.All(bad, l => Assert.Equal("image_missing", l.GetProperty("fault").GetString()));
        Assert.Contains("left out 3 bad samples (3 image_missing)", error, StringComparison.Ordinal);
        Assert.Contains("Samples left out so far", File.ReadAllText(Path.Combine(_tiny["skip"], "report.html")), StringComparison.Ordinal);
    }

    [Fact]
    public void Losses_by_tokens_weigh_every_token_alike()
    {
        // Two micro-batches of one sample with 1 and many answers' tokens: the update's loss is the mean over all of them.
        var data = _tiny.Write("two.json", [
            TinyRun.Sample("a", "0.png", "<image>\nWhat?", "a"),
            TinyRun.Sample("b", "1.png", "<image>\nWhat?", "a red car and a car and a red red car abcd abcd"),
        ]);
        string[] common = ["--data_path", data, "--num_train_epochs", "1", "--per_device_train_batch_size", "1", "--learning_rate", "0"];
        var one = Losses("one", [.. common, "--gradient_accumulation_steps", "1"]);
        var micro = Assert.Single(Losses("micro", [.. common, "--gradient_accumulation_steps", "2"]));
        var tokens = Assert.Single(Losses("tokens", [.. common, "--gradient_accumulation_steps", "2", "--loss_normalization", "tokens"]));
        Assert.Equal(one.Average(l => l.Loss), micro.Loss, 1e-6);
        Assert.Equal(one.Sum(l => l.Loss * l.Tokens) / one.Sum(l => l.Tokens), tokens.Loss, 1e-6);
        Assert.NotEqual(micro.Loss, tokens.Loss, 1e-3);
        Assert.NotEqual(micro.Norm, tokens.Norm, 1e-6);

        List<(double Loss, int Tokens, double Norm)> Losses(string name, string[] more)
        {
            var (code, _, error) = Host.Run(_tiny.Stage1(_tiny[name], more));
            Assert.True(code == 0, error);
            return [.. File.ReadAllLines(Path.Combine(_tiny[name], "log.jsonl")).Select(l => JsonDocument.Parse(l).RootElement).Select(
                l => (l.GetProperty("loss").GetDouble(), l.GetProperty("supervised_tokens").GetInt32(), l.GetProperty("grad_norm").GetDouble()))];
        }
    }

    [Fact]
    public void Repeated_rows_and_wrong_extensions_are_trained()
    {
        foreach (var i in (int[])[0, 1, 2])
        {
            File.Move(Path.Combine(_tiny.Images, $"{i}.png"), Path.Combine(_tiny.Images, $"{i}.jpg"));
        }

        var data = _tiny.Write("rows.json", Enumerable.Range(0, 6).Select(
            i => TinyRun.Sample($"s{i}", $"{(i < 4 ? 0 : i - 3)}.jpg", "<image>\nWhat?", "a red car")));
        string[] train = [.. _tiny.Stage1(_tiny["rows"], "--data_path", data, "--num_train_epochs", "1", "--on_bad_sample", "skip")];
        var (code, output, error) = Host.Run(["check-data", .. train[1..], "--json"]);
        Assert.True(code == 0, output);
        Assert.All(output.Split('\n', StringSplitOptions.RemoveEmptyEntries), l => Assert.Contains("\"note\":true", l, StringComparison.Ordinal));
        Assert.Contains("0 with a fault, 6 with a note: 3 duplicate, 3 wrong_extension", error, StringComparison.Ordinal);
        Host.Succeed(train);
        Assert.False(File.Exists(Path.Combine(_tiny["rows"], "bad_samples.jsonl")));
        var log = Assert.Single(File.ReadAllLines(Path.Combine(_tiny["rows"], "log.jsonl")));
        Assert.Contains("\"skipped_samples\":0", log, StringComparison.Ordinal);
    }

    [Fact]
    public void White_space_is_an_answer_everywhere()
    {
        var data = _tiny.Write("spaces.json", [TinyRun.Sample("s", null, "Say it", "   ")]);
        string[] train = [.. _tiny.Stage2(_tiny["spaces"], "--data_path", data, "--max_steps", "1")];
        Host.Succeed(["check-data", .. train[1..]]);
        Host.Succeed(["show-sample", .. train[1..], "--index", "0"]);
        Host.Succeed(train);
    }

    private string[] Show(params string[] more) =>
        ["show-sample", .. _tiny.Stage2(_tiny["out"])[1..], .. more];
}
