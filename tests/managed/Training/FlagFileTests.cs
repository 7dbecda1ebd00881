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

    [Fact]
    public void A_file_that_is_not_there() => Assert.StartsWith(
        "--config none.json cannot be read: ", Assert.Throws<UserErrorException>(() => TrainOptionsParser.Parse(["--config", "none.json"])).Message);

    private string Write(string json) => _folder.Write("flags.json", json);
}
