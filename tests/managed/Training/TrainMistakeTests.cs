using LlavaSharp.Checkpoints;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Training;

/// <summary>Every mistake a user can make with train and generate, once, with its text. None leaves an output folder behind.</summary>
public sealed class TrainMistakeTests : IDisposable
{
    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData("--model_name_or_path")]
    [InlineData("--vision_tower")]
    [InlineData("--image_folder")]
    [InlineData("--pretrain_mm_mlp_adapter")]
    public void A_path_that_does_not_exist(string flag)
    {
        var nowhere = _tiny["nowhere"];
        Assert.StartsWith($"{flag} {nowhere} does not exist", Mistake(flag, nowhere));
    }

    [Fact]
    public void A_missing_data_file() => Assert.Contains(_tiny["nowhere.json"], Mistake("--data_path", _tiny["nowhere.json"]));

    [Fact]
    public void Required_flags()
    {
        Assert.Equal("--model_name_or_path is missing: a folder in Hugging Face's layout", Host.Mistake("train"));
        Assert.Equal(
            "--data_path is missing: the training file in LLaVA's layout", Host.Mistake("train", "--model_name_or_path", _tiny.Llama));
        Assert.Equal(
            "--output_dir is missing: a folder for the result",
            Host.Mistake("train", "--model_name_or_path", _tiny.Llama, "--data_path", _tiny.Captions));
        Assert.Equal(
            "--vision_tower is missing: a folder in Hugging Face's layout",
            Host.Mistake("train", "--model_name_or_path", _tiny.Llama, "--data_path", _tiny.Captions, "--output_dir", _tiny["out"]));
    }

    [Fact]
    public void Malformed_json_with_its_line()
    {
        var file = _tiny.WriteText("bad.json", "[\n{\"id\": 1, \"conversations\": [}\n]");
        Assert.Matches($"^{file}: line 2", Mistake("--data_path", file).Replace("'", "", StringComparison.Ordinal));
    }

    [Fact]
    public void An_unknown_flag_with_the_nearest() =>
        Assert.Equal("unknown flag --data_pth; did you mean --data_path?", Mistake("--data_pth", "x"));

    [Fact]
    public void An_image_that_does_not_decode_stops_the_run_with_file_index_and_reason()
    {
        File.WriteAllText(Path.Combine(_tiny.Images, "bad.png"), "no picture");
        var data = _tiny.Write("d.json", [TinyRun.Sample("good", "0.png", "<image>\nQ", "a"), TinyRun.Sample("bad", "bad.png", "<image>\nQ", "a")]);
        var (code, _, error) = Host.Run(_tiny.Stage1(_tiny["out"], "--data_path", data));
        Assert.Equal(2, code);
        Assert.Contains($"error: {data}: sample 1: ", error);
        Assert.Contains("bad.png", error);
        Assert.False(File.Exists(Path.Combine(_tiny["out"], "mm_projector.bin")));
    }

    [Fact]
    public void An_image_that_is_missing_or_outside_the_folder()
    {
        var missing = _tiny.Write("d.json", [TinyRun.Sample("x", "none.png", "<image>\nQ", "a")]);
        Assert.StartsWith($"{missing}: sample 0: image ", Mistake("--data_path", missing));
        var outside = _tiny.Write("e.json", [TinyRun.Sample("x", "../clip/config.json", "<image>\nQ", "a")]);
        Assert.Contains("leaves the image folder", Mistake("--data_path", outside));
    }

    [Fact]
    public void Too_large_an_image()
    {
        // A PNG header that claims 60000 × 60000 pixels; nothing more is needed to refuse it.
        byte[] png = [0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10, 0, 0, 0, 13, (byte)'I', (byte)'H', (byte)'D', (byte)'R',
            0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60, 8, 2, 0, 0, 0, 0, 0, 0, 0];
        File.WriteAllBytes(Path.Combine(_tiny.Images, "huge.png"), png);
        var data = _tiny.Write("d.json", [TinyRun.Sample("x", "huge.png", "<image>\nQ", "a")]);
        var message = Mistake("--data_path", data);
        Assert.StartsWith($"{data}: sample 0: ", message);
        Assert.Contains("60000", message);
    }

    [Fact]
    public void Wrong_shapes_in_a_checkpoint_show_both()
    {
        var config = Path.Combine(_tiny.Llama, "config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"intermediate_size\": 12", "\"intermediate_size\": 16", StringComparison.Ordinal));
        var message = Mistake();
        Assert.Contains("[12, 8]", message);
        Assert.Contains("[16, 8]", message);
        Assert.Contains("gate_proj", message);
    }

    [Fact]
    public void A_tokenizer_of_another_model()
    {
        var small = TinyModel.Config(vocabulary: 200);
        var folder = _tiny["small"];
        HuggingFacePartsWriter.WriteLanguageModel(
            folder, small.Text, new TinyModel(small), LlavaTokenizer.FromBytes(TinyTokenizer.Bytes(), legacy: true));
        var message = Mistake("--model_name_or_path", folder);
        Assert.Contains("tokenizer has 274 pieces", message);
        Assert.Contains("200", message);
    }

    [Fact]
    public void An_output_that_cannot_be_written_or_is_in_use()
    {
        var file = _tiny.WriteText("file", "");
        Assert.Equal($"--output_dir {file} is a file; name a folder", Mistake("--output_dir", file));
        Assert.StartsWith($"cannot write into --output_dir {file}/below: ", Mistake("--output_dir", file + "/below"));
        Assert.Equal(
            $"--output_dir {_tiny.Images} is not empty; choose another folder or pass --overwrite_output_dir True",
            Mistake("--output_dir", _tiny.Images));
    }

    [Fact]
    public void Templates()
    {
        Assert.Contains("plane", Mistake("--version", "plane"));
        Assert.Equal(
            "--version and --template both name a conversation template, and their texts differ; give one", Mistake("--template", "v1"));
    }

    [Fact]
    public void Generate_names_what_it_cannot_open()
    {
        Assert.Equal($"model folder {_tiny["none"]} does not exist", Host.Mistake("generate", "--model", _tiny["none"], "--prompt", "p"));
        Assert.Contains("is a language model without a vision tower", Host.Mistake("generate", "--model", _tiny.Llama, "--prompt", "p"));
    }

    private string Mistake(params string[] more)
    {
        var (code, _, error) = Host.Run(_tiny.Stage1(_tiny["out"], more));
        Assert.Equal(2, code);
        Assert.StartsWith("error: ", error.Split('\n')[^2]);
        return error.Split('\n')[^2]["error: ".Length..];
    }
}
