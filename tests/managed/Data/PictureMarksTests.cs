using LlavaSharp.Data;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Tests.Training;

namespace LlavaSharp.Tests.Data;

/// <summary>A mark without a picture is trained as text only where it is text.</summary>
public sealed class PictureMarksTests : IDisposable
{
    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData("\"image_path\": \"a.jpg\"", "<image>\nWhat?", "its turns say <image>, but its \"image_path\" is not read; rename the key to \"image\"")]
    [InlineData("\"Image\": \"a.jpg\"", "<image>\nWhat?", "its \"Image\" is not read")]
    [InlineData("\"img\": [\"a.jpg\"]", "What? <image>", "its \"img\" is not read")]
    [InlineData("\"images_path\": \"a\"", "Is <image> red?", "its \"images_path\" is not read")]
    [InlineData("\"file\": \"x/a.PNG\"", "Is <image> red?", "its \"file\" is not read")]
    [InlineData("\"file\": [\"x/a.webp\"]", "Is <image> red?", "its \"file\" is not read")]
    [InlineData("\"image\": null", "Is <image> red?", "its \"image\" is empty; name its picture there")]
    [InlineData("\"image\": \"\"", "<image>", "its \"image\" is empty")]
    [InlineData("\"images\": []", "<image>\nWhat?", "its \"images\" is empty")]
    [InlineData("\"video\": \"a.mp4\"", "<video>\nWhat?", "its turns say <video>, but videos are not trained")]
    [InlineData("\"video\": \"a.mp4\"", "<image>\nWhat?", "its \"video\" is not read, for videos are not trained")]
    [InlineData("\"x\": 1", "<image>\nWhat?", "but it has no \"image\"; name its picture there, or take the mark out")]
    [InlineData("\"x\": 1", "What?\n <image> \nTell me.", "but it has no \"image\"")]
    [InlineData("\"x\": 1", "<image-placeholder>\nWhat?", "only <image> marks a picture")]
    [InlineData("\"x\": 1", "In HTML, what does <image> mean?", null)]
    [InlineData("\"x\": 1", "<rss>\n<image>\n<url>u</url>\n</image></rss>\nWhat is this?", null)]
    [InlineData("\"x\": 1", "<Image>\nWhat?", null)]
    [InlineData("\"image_id\": 7", "What does <image> mean?", null)]
    [InlineData("\"image_path\": \"a.jpg\"", "What?", null)]
    public void What_a_sample_without_a_picture_says(string key, string question, string? expected)
    {
        var text = System.Text.Json.JsonSerializer.Serialize(question);
        var path = _tiny.WriteText(
            "d.json", $$"""
            [{"id": "one", {{key}}, "conversations": [{"from": "human", "value": {{text}}}, {"from": "gpt", "value": "red"}]},
             {"conversations": [{"from": "human", "value": "Which colour?"}, {"from": "gpt", "value": "red"}]}]
            """);
        using var data = SampleDataset.Open(path);
        var found = new SampleChecker().Check(data[0], 0);
        Assert.Equal(expected is null ? null : SampleFault.MarkWithoutImage, found?.Fault);
        Assert.Equal(expected is null ? 0 : 1, data.Blind.Count);
        if (expected is not null)
        {
            Assert.Contains(expected, found!.Message, StringComparison.Ordinal);
            Assert.Equal($"sample 0 (id \"one\"): {found.Message}", data.Blind.First!.Message);
        }
    }

    [Fact]
    public void An_answer_that_says_it_and_a_sample_with_a_picture_are_left_alone()
    {
        Turn question = new("human", "Which tag?"), answer = new("gpt", "<image>");
        Assert.Null(PictureMarks.Missing(new Sample(null, (string?)null, [question, answer])));
        Assert.NotNull(PictureMarks.Missing(new Sample(null, (string?)null, [question, answer]) { UnreadPictureKey = "img" }));
        Assert.Null(PictureMarks.Missing(new Sample(null, "a.png", [new("human", "<image>\nWhat?"), answer])));
        Assert.Contains("<video>", PictureMarks.Missing(new Sample(null, "a.png", [new("human", "<image>\n<video>\nWhat?"), answer])), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, 0, true)]
    [InlineData(2, 1, true)]
    [InlineData(1, 1, false)]
    [InlineData(1, 5, false)]
    public void A_mark_within_a_line_is_text_in_few_samples_and_a_lost_picture_in_most(int marked, int others, bool lost)
    {
        const string Words = "its turns say <image>, but it has no \"image\"; name its picture there, or take the mark out";
        var data = _tiny.Write("most.json", Enumerable.Range(0, marked + others).Select(
            i => TinyRun.Sample($"s{i}", null, i < marked ? $"Look at <image> and say {i}" : $"Say {i}", "red")));
        string[] train = _tiny.Stage2(_tiny["out"], "--data_path", data, "--max_steps", "1");
        var (code, output, _) = Host.Run(["check-data", .. train[1..]]);
        Assert.Equal(lost ? 1 : 0, code);
        Assert.Equal(lost ? marked : 0, output.Split($": mark_without_image: {Words}\n").Length - 1);
        if (lost)
        {
            var more = marked == 1 ? "" : $" ({marked} of {marked + others} samples lack a picture so)";
            var expected = $"{data}: sample 0 (id \"s0\"): {Words}{more}; --on_bad_sample skip leaves such samples out";
            Assert.Equal(expected, Host.Mistake(train));
            Assert.Equal(expected, Host.Mistake([.. train, "--dry_run", "True"]));
            Assert.Equal($"{data}: sample 0: {Words}", Host.Mistake(["show-sample", .. train[1..], "--index", "0"]));
        }
        else
        {
            Host.Succeed(train);
        }
    }

    [Fact]
    public void Train_dry_run_check_and_show_say_the_same()
    {
        var data = _tiny.WriteText("blind.json", """
            [{"id": 1, "conversations": [{"from": "human", "value": "Say it"}, {"from": "gpt", "value": "abcd"}]},
             {"id": 2, "image_path": "0.png", "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "red"}]},
             {"id": 3, "image_path": "1.png", "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "red"}]}]
            """);
        const string Words = "its turns say <image>, but its \"image_path\" is not read; rename the key to \"image\"";
        string[] train = _tiny.Stage2(_tiny["out"], "--data_path", data, "--max_steps", "1");
        var expected = $"{data}: sample 1 (id \"2\"): {Words} (2 of 3 samples lack a picture so); --on_bad_sample skip leaves such samples out";
        Assert.Equal(expected, Host.Mistake(train));
        Assert.Equal(expected, Host.Mistake([.. train, "--dry_run", "True"]));
        Assert.Equal($"{data}: sample 1: {Words}", Host.Mistake(["show-sample", .. train[1..], "--index", "1"]));
        Assert.False(Directory.Exists(_tiny["out"]));
        var (code, output, _) = Host.Run(["check-data", .. train[1..]]);
        Assert.Equal(1, code);
        Assert.StartsWith($"{data}: sample 1: mark_without_image: {Words}\n{data}: sample 2: mark_without_image: ", output, StringComparison.Ordinal);

        (code, output, var error) = Host.Run([.. train, "--on_bad_sample", "skip", "--dry_run", "True"]);
        Assert.True(code == 0, error);
        Assert.Contains("2 others are left out, which check-data names", output, StringComparison.Ordinal);
        (code, _, error) = Host.Run([.. train, "--on_bad_sample", "skip"]);
        Assert.True(code == 0, error);
        Assert.Contains("left out 2 bad samples (2 mark_without_image)", error, StringComparison.Ordinal);
    }
}
