using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

public sealed class FlagFileTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void What_a_run_resolved_can_be_passed_back()
    {
        var deepspeed = _folder.Write("zero2.json", "{}");
        var (options, _) = TrainOptionsParser.Parse(
            [
                "--model_name_or_path", "m", "--learning_rate", "2e-5", "--mm_projector_lr", "1e-4", "--tune_mm_mlp_adapter", "--deepspeed", deepspeed,
                "--save_total_limit", "1", "--seed", "7", "--image_folder", "a \"quoted\" folder",
            ]);
        var file = _folder.Write("c.json", $$"""{"flags": {{ResolvedConfig.FlagsJson(options).ToJsonString()}}, "resolved": {"updates": 3} }""");
        Assert.Equal(options, TrainOptionsParser.Parse(["--config", file]).Options);
    }

    [Fact]
    public void Flags_of_the_command_line_count_more_wherever_they_stand()
    {
        var file = Write("""{"seed": 7, "learning_rate": 1e-3, "tune_mm_mlp_adapter": true, "data_path": null}""");
        var options = TrainOptionsParser.Parse(["--seed", "8", "--config", file]).Options;
        Assert.Equal((8, 1e-3, true, null), (options.Seed, options.LearningRate, options.TuneMmMlpAdapter, options.DataPath));
    }

    [Theory]
    [InlineData("""{"learning_rat": 1}""", "unknown flag learning_rat; did you mean learning_rate?")]
    [InlineData("""{"seed": [1]}""", "seed is [1]; expected text, a number or a boolean")]
    [InlineData("3", "not a JSON object of flags")]
    public void Mistakes_name_the_file(string json, string message)
    {
        var file = Write(json);
        Assert.Equal($"--config {file}: {message}", Assert.Throws<UserErrorException>(() => TrainOptionsParser.Parse(["--config", file])).Message);
    }

    [Theory]
    [InlineData("""{"bf16": true, "bf16": false}""", "bf16 is given twice; keep one")]
    [InlineData("""{"flags": {"seed": 1, "seed": 2}}""", "flags.seed is given twice; keep one")]
    [InlineData("""{"seed": "x"}""", "--seed x: expected a whole number of at least 0")]
    [InlineData("""{"seed": 1.5}""", "--seed 1.5: expected a whole number of at least 0")]
    [InlineData("""{"data_path": {}}""", "data_path is {}; expected text, a number or a boolean")]
    [InlineData("""{"data_path": "a\u0000b"}""", "data_path is \"a\\u0000b\"; expected text, a number or a boolean")]
    [InlineData("""{"data_path": "\ud800"}""", "holds text that is not Unicode; save the file as UTF-8")]
    [InlineData("""{"seed": 1,}""", "trailing comma")]
    public void What_cannot_be_taken_is_one_line_with_file_and_key(string json, string contains)
    {
        var file = Write(json);
        var message = Assert.Throws<UserErrorException>(() => TrainOptionsParser.Parse(["--config", file])).Message;
        Assert.StartsWith($"--config {file}: ", message);
        Assert.Contains(contains, message);
    }

    [Fact]
    public void Bytes_that_are_not_utf_8()
    {
        var file = _folder.Write("flags.json", [(byte)'{', (byte)'"', 0xff, (byte)'"', (byte)':', (byte)'1', (byte)'}']);
        Assert.Equal(
            $"--config {file}: holds text that is not Unicode; save the file as UTF-8",
            Assert.Throws<UserErrorException>(() => TrainOptionsParser.Parse(["--config", file])).Message);
    }

    [Fact]
    public void A_byte_order_mark_comments_and_numbers_as_texts_are_taken()
    {
        var file = Write("\ufeff{\"seed\": \"7\", /* two */ \"max_steps\": 1e3, \"save_total_limit\": 2.0, \"learning_rate\": \"1e-3\"}");
        var options = TrainOptionsParser.Parse(["--config", file]).Options;
        Assert.Equal((7, 1000, 2, 1e-3), (options.Seed, options.MaxSteps, options.SaveTotalLimit, options.LearningRate));
    }

    [Fact]
    public void A_file_that_is_not_there() => Assert.StartsWith(
        "--config none.json cannot be read: ", Assert.Throws<UserErrorException>(() => TrainOptionsParser.Parse(["--config", "none.json"])).Message);

    private string Write(string json) => _folder.Write("flags.json", json);
}
