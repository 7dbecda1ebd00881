using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Training;
using LlavaSharp.Training.Resume;

namespace LlavaSharp.Tests.Training;

/// <summary>Runs that lose their model: they end with an error that says so, and never with a result.</summary>
public sealed class DivergenceTests : IDisposable
{
    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Fact]
    public void Left_out_updates_at_the_end_are_told_from_a_bad_batch()
    {
        const string Good = "+", Bad = "-", Nothing = "0";
        Assert.Null(AtEnd(Good, Good));
        Assert.Null(AtEnd(Good, Bad, Bad, Good));
        Assert.Null(AtEnd());
        Assert.StartsWith("the last update was left out, ", AtEnd(Good, Bad));
        Assert.StartsWith("the last update was left out, ", AtEnd(Good, Bad, Nothing, Bad));
        Assert.StartsWith("the last 2 of 9 updates gave no finite loss and gradient and were left out: since update 1 ", AtEnd(Good, Bad, Bad));
        Assert.StartsWith("the last 1 of 9 updates ", AtEnd(Bad));
        Assert.Null(new Divergence(skips: false).CheckEnd(Steps(Good, Bad, Bad)));

        // Within a run ten in a row end it.
        var run = new Divergence(skips: true);
        run.Check(Steps([Good, .. Enumerable.Repeat(Bad, 9)]));
        Assert.False(run.IsFound);
        Assert.Throws<UserErrorException>(() => run.Check(Steps([Good, .. Enumerable.Repeat(Bad, 10)])));
        Assert.True(run.IsFound);

        static string? AtEnd(params string[] kinds)
        {
            try
            {
                return new Divergence(skips: true).CheckEnd(Steps(kinds));
            }
            catch (UserErrorException e)
            {
                return e.Message;
            }
        }
    }

    [Theory]
    [InlineData("1e30", "4", "the last 3 of 4 updates gave no finite loss and gradient and were left out: since update 1 ")]
    [InlineData("1e39", "1", "holds a value that is not finite")]
    public void A_run_whose_weights_overflow_ends_with_an_error_and_no_result(string rate, string updates, string part)
    {
        var (code, output, error) = Host.Run(_tiny.Stage2(_tiny["out"], "--max_steps", updates, "--learning_rate", rate, "--warmup_ratio", "0",
            "--lr_scheduler_type", "constant", "--on_nan", "skip", "--save_steps", "100", "--max_grad_norm", "0"));
        Assert.Equal((2, ""), (code, output));
        Assert.Contains(part, error.Split('\n').Single(l => l.StartsWith("error: ", StringComparison.Ordinal)));
        Assert.False(File.Exists(Path.Combine(_tiny["out"], "config.json")));
        Assert.False(File.Exists(Path.Combine(_tiny["out"], "model.safetensors")));
        Assert.Empty(Directory.GetDirectories(_tiny["out"], "checkpoint-*"));
    }

    [Fact]
    public void A_checkpoint_whose_weights_are_not_finite_is_not_gone_on_from()
    {
        Host.Succeed(_tiny.Stage2(_tiny["out"], "--max_steps", "2", "--save_steps", "1"));
        var folder = Path.Combine(_tiny["out"], "checkpoint-1");
        var path = Path.Combine(folder, "weights.safetensors");
        TensorSource[] tensors;
        using (var file = SafetensorsFile.Open(path))
        {
            tensors = [.. file.Names.Select(n => TensorSource.FromFloats(
                n, file[n].Shape, n == "head.norm.weight" ? [.. Enumerable.Repeat(float.NaN, 8)] : file.Floats(n)))];
        }

        SafetensorsWriter.Write(path, tensors);
        File.Delete(Path.Combine(folder, CheckpointManifest.FileName));
        CheckpointManifest.Write(folder);
        var (code, _, error) = Host.Run(_tiny.Stage2(_tiny["again"], "--max_steps", "2", "--resume", folder));
        Assert.Equal(2, code);
        Assert.Contains("error: the trained weight head.norm.weight is not finite: NaN at [0]; ", error);
    }

    [Fact]
    public void The_template_of_a_run_is_in_each_folder_that_it_leaves()
    {
        Host.Succeed(_tiny.Stage2(_tiny["full"], "--max_steps", "1", "--save_steps", "1", "--version", "mpt"));
        Host.Succeed(_tiny.Stage2(_tiny["lora"], "--max_steps", "1", "--version", "mpt", "--lora_enable", "True"));
        Host.Succeed(
            "merge-lora", "--model", _tiny.Llama, "--adapter", _tiny["lora"], "--vision_tower", _tiny.Clip, "--output", _tiny["merged"]);
        Host.Succeed("convert", "--from", Path.Combine(_tiny["full"], "checkpoint-1"), "--to", _tiny["converted"], "--layout", "llava");
        foreach (var folder in (string[])[_tiny["full"], _tiny["merged"], _tiny["converted"]])
        {
            Assert.Equal("mpt", (string?)JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!["conversation_template"]);
            var error = Host.Run("generate", "--model", folder, "--prompt", "a", "--max_new_tokens", "1").Error;
            Assert.StartsWith("template mpt: what the model was trained with (", error);
        }

        Assert.StartsWith("template mpt: what", Host.Run(
            "generate", "--model", _tiny.Llama, "--adapter", _tiny["lora"], "--vision_tower", _tiny.Clip, "--prompt", "a", "--max_new_tokens", "1").Error);
        var (code, output, note) = Host.Run("convert", "--from", _tiny["full"], "--to", _tiny["gguf"], "--layout", "gguf");
        Assert.Equal(0, code);
        Assert.StartsWith("template mpt: what", note);
        var keys = new Gguf.GgufFile(output.Split(',')[0]).Metadata;
        Assert.Contains("<|im_start|>assistant", (string)keys["tokenizer.chat_template"]);
    }

    [Fact]
    public void Intels_template_is_written_with_its_own_name()
    {
        var arguments = _tiny.Stage2(_tiny["out"], "--max_steps", "1").ToList();
        arguments[arguments.IndexOf("--version")] = "--template";
        Host.Succeed([.. arguments]);
        Assert.Equal("itrex_v1", LlavaFields.Read(_tiny["out"]).Template);
    }

    [Fact]
    public void A_checkpoint_is_converted_without_the_DeepSpeed_file_of_its_run()
    {
        var file = _tiny.WriteText("zero.json", """{"train_batch_size": 3, "zero_optimization": {"stage": 2}, "gradient_clipping": 1.0}""");
        Host.Succeed(_tiny.Stage2(_tiny["out"], "--max_steps", "1", "--save_steps", "1", "--deepspeed", file));
        File.Delete(file);
        var path = Path.Combine(_tiny["out"], "checkpoint-1");
        Host.Succeed("convert", "--from", path, "--to", _tiny["hf"], "--layout", "hf");

        // Of a run of two processes: 6 = 3 × 2 does not agree with one.
        _tiny.WriteText("zero.json", """{"train_batch_size": 6}""");
        Host.Succeed("convert", "--from", path, "--to", _tiny["two"], "--layout", "hf");
        Assert.Equal(0, TrainOptionsParser.ParseRun(Path.Combine(path, "train_config.json")).ZeroStage - 2);
    }

    private static List<StepRecord> Steps(params string[] kinds) => [.. kinds.Select((kind, i) => new StepRecord
    {
        Step = i + 1,
        TotalSteps = 9,
        Epoch = 0,
        Loss = kind == "+" ? 1 : double.NaN,
        GradientNorm = kind == "+" ? 1 : double.NaN,
        SupervisedTokens = kind == "0" ? 0 : 5,
        LearningRate = 1,
        Samples = 1,
        Tokens = 9,
        Seconds = 1,
        DataWaitSeconds = 0,
        ResidentBytes = 1,
    })];
}
