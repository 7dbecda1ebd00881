using System.Text.Json;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tests.Lora;

namespace LlavaSharp.Tests.Cli;

public sealed class ConvertTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly LlavaConfig _config = TinyFolders.Config();

    public ConvertTests()
    {
        TinyFolders.WriteParts(_folder["lm"], _folder["vision_tower"], _config);
        MmProjectorFile.Write(_folder["mm_projector.bin"], _config, new TinyModel(_config));
        AdapterWriter.Write(_folder["adapter"], new TinyAdapter(_config, new AdapterOptions { Rank = 2, Alpha = 4 }).Export());
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Parts_become_either_layout_and_each_the_other()
    {
        string[] parts = ["--from", _folder["lm"], "--vision_tower", _folder["vision_tower"], "--projector", _folder["mm_projector.bin"]];
        Done("convert", ["--to", _folder["hf"], "--layout", "hf", .. parts], $"hf layout in float32: {_folder["hf"]}\n");
        Done("convert", ["--from", _folder["hf"], "--to", _folder["llava"], "--layout", "llava", "--shard_size", "4KB"], $"llava layout in float32: {_folder["llava"]}\n");
        Done("convert", ["--from", _folder["llava"], "--to", _folder["half"], "--layout", "hf", "--dtype", "bf16"], $"hf layout in bfloat16: {_folder["half"]}\n");
        Done("convert", ["--from", _folder["llava"], "--to", _folder["bare"], "--layout", "llava", "--without_tower"], $"llava layout in float32: {_folder["bare"]}\n");
        Assert.True(Directory.GetFiles(_folder["llava"], "model-*").Length > 2);
        using var engine = new Engine();
        float[] expected = TinyFolders.Logits(engine, new ModelParts
        {
            LanguageFolder = _folder["lm"],
            ClipFolder = _folder["vision_tower"],
            ProjectorFile = _folder["mm_projector.bin"],
        });
        Assert.Equal(expected, TinyFolders.Logits(engine, new ModelParts { LanguageFolder = _folder["hf"] }));
        Assert.Equal(expected, TinyFolders.Logits(engine, new ModelParts { LanguageFolder = _folder["llava"] }));
        Assert.Equal(expected, TinyFolders.Logits(engine, new ModelParts { LanguageFolder = _folder["bare"] }));
        using var bare = CheckpointReader.Open(_folder["bare"]);
        Assert.DoesNotContain(bare.Names, n => n.Contains("vision_tower", StringComparison.Ordinal));
    }

    [Fact]
    public void Gguf_is_a_pair_of_files()
    {
        string[] parts = ["--from", _folder["lm"], "--vision_tower", _folder["vision_tower"], "--projector", _folder["mm_projector.bin"]];
        Done("convert", ["--to", _folder["g"], "--layout", "gguf", "--dtype", "q8_0", .. parts], $"{_folder["g/model-q8_0.gguf"]}, {_folder["g/mmproj-f16.gguf"]}\n");
        Done("merge-lora", ["--model", _folder["lm"], "--adapter", _folder["adapter"], "--output", _folder["g"], "--layout", "gguf"], $"{_folder["g/model-f32.gguf"]}, {_folder["g/mmproj-f32.gguf"]}\n");
        Assert.Equal(4, Directory.GetFiles(_folder["g"]).Length);
        Assert.Equal("--dtype q8_0 is not known: use f32, f16 or bf16", Host.Mistake(["convert", "--to", _folder["x"], "--layout", "hf", "--dtype", "q8_0", .. parts]));
        Assert.Equal("--dtype q4_0 is not known: use f32, f16, bf16 or q8_0", Host.Mistake(["convert", "--to", _folder["x"], "--layout", "gguf", "--dtype", "q4_0", .. parts]));
    }

    [Fact]
    public void Merging_by_command_and_answering_over_the_adapter_are_the_same()
    {
        string[] merge = ["--model", _folder["lm"], "--adapter", _folder["adapter"]];
        Done("merge-lora", [.. merge, "--output", _folder["merged"]], $"hf layout in float32: {_folder["merged"]}\n");
        Done("merge-lora", [.. merge, "--output", _folder["original"], "--layout", "llava"], $"llava layout in float32: {_folder["original"]}\n");
        string[] ask = ["--prompt", "a red car", "--max_new_tokens", "12"];
        var (_, expected, _) = Host.Run(["generate", "--model", _folder["merged"], .. ask]);
        Assert.Equal((0, expected, ""), Host.Run(["generate", "--model", _folder["lm"], "--adapter", _folder["adapter"], .. ask]));
        Assert.Equal((0, expected, ""), Host.Run(["generate", "--model", _folder["original"], .. ask]));
        var (_, json, _) = Host.Run(["generate", "--model", _folder["original"], .. ask, "--json"]);
        JsonElement answer = JsonDocument.Parse(json).RootElement;
        Assert.Equal(expected.Trim(), answer.GetProperty("text").GetString());
        Assert.Equal(1, answer.GetProperty("input_ids")[0].GetInt32());
        Assert.InRange(answer.GetProperty("output_ids").GetArrayLength(), 1, 12);
    }

    [Fact]
    public void Mistakes_are_one_line()
    {
        string[] lm = ["--from", _folder["lm"], "--layout", "hf", "--to"];
        Assert.Equal("--layout gpt is not known: use hf, llava or gguf", Host.Mistake(["convert", "--from", _folder["lm"], "--to", _folder["x"], "--layout", "gpt"]));
        Assert.Equal($"--from {_folder["lm"]} is also where the result would go; name another folder for that", Host.Mistake(["convert", .. lm, _folder["lm"] + "/"]));
        Assert.Equal($"--from {_folder["no"]} does not exist", Host.Mistake(["convert", "--from", _folder["no"], "--to", _folder["x"], "--layout", "hf"]));
        Assert.Equal($"--from {_folder["lm"]} is a language model; name its projector with --projector", Host.Mistake(["convert", .. lm, _folder["x"], "--vision_tower", _folder["vision_tower"]]));
        Assert.Equal("the model has no vision tower; name a CLIP folder with --vision_tower", Host.Mistake(["convert", .. lm, _folder["x"]]));
        Assert.Equal("--dtype f8 is not known: use f32, f16 or bf16", Host.Mistake(["convert", .. lm, _folder["x"], "--dtype", "f8"]));
        Assert.Equal("--shard_size big: expected bytes, or a number with KB, MB, GB, KiB, MiB or GiB, such as 5GB", Host.Mistake(["convert", .. lm, _folder["x"], "--shard_size", "big"]));
        Assert.Equal("--image_aspect_ratio wide is not known: use square or pad", Host.Mistake(["convert", .. lm, _folder["x"], "--image_aspect_ratio", "wide"]));
        Assert.Equal("--to is missing; see llavasharp convert --help", Host.Mistake(["convert", "--from", _folder["lm"], "--layout", "hf"]));
        Assert.Equal($"--adapter {_folder["no"]} does not exist", Host.Mistake(["merge-lora", "--model", _folder["lm"], "--adapter", _folder["no"], "--output", _folder["x"]]));
        Assert.Equal($"'{Path.Combine(_folder["lm"], "adapter_config.json")}' does not exist", Host.Mistake(["merge-lora", "--model", _folder["lm"], "--adapter", _folder["lm"], "--output", _folder["x"]]));
        Assert.Equal($"'{_folder["lm"]}' is a language model without a vision tower; give a LLaVA folder", Host.Mistake(["generate", "--model", _folder["lm"], "--prompt", "p"]));
        Assert.Equal($"adapter folder {_folder["no"]} does not exist", Host.Mistake(["generate", "--model", _folder["lm"], "--adapter", _folder["no"], "--prompt", "p"]));
        Assert.False(Directory.Exists(_folder["x"]));
    }

    [Theory]
    [InlineData("5GB", 5_000_000_000)]
    [InlineData("1.5 GiB", 1_610_612_736)]
    [InlineData("4096", 4096)]
    [InlineData("10kb", 10_000)]
    public void Sizes_are_read(string text, long bytes) => Assert.Equal(bytes, ExportTypes.ParseSize(text));

    private static void Done(string verb, string[] arguments, string output) =>
        Assert.Equal((0, output, ""), Host.Run([verb, .. arguments]));
}
