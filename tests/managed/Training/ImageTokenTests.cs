using LlavaSharp.Checkpoints;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Training;

/// <summary>Tokens around images, from flags to files: which rows are new, what they hold, what trains, where they are kept.</summary>
public sealed class ImageTokenTests : IDisposable
{
    private static readonly string[] StartEnd = ["--mm_use_im_start_end", "True"];

    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Fact]
    public void New_rows_are_the_mean_and_stage_1_trains_the_embedding()
    {
        var old = Matrix(Path.Combine(_tiny.Llama, "model.safetensors"), "embed.weight");
        int first = LlavaTokenizer.Load(_tiny.Llama).IdCount;
        Host.Succeed(_tiny.Stage1(_tiny["still"], [.. StartEnd, "--max_steps", "1", "--learning_rate", "0"]));
        var still = Matrix(_tiny["still/mm_projector.bin"], "embed.weight");
        int rows = still.Length / 8;
        Assert.Equal(Math.Max(old.Length / 8, first + 2), rows);
        Assert.Equal(old, still[..old.Length]);
        for (int i = old.Length; i < still.Length; i++)
        {
            Assert.Equal(old.Where((_, at) => at % 8 == i % 8).Average(v => (double)v), still[i], 1e-6);
        }

        Host.Succeed(_tiny.Stage1(_tiny["one"], [.. StartEnd, "--max_steps", "2"]));
        Assert.NotEqual(still, Matrix(_tiny["one/mm_projector.bin"], "embed.weight"));
        Assert.Contains($"\"vocab_size\": {rows}", File.ReadAllText(_tiny["one/config.json"]));
    }

    [Fact]
    public void Stage_2_takes_the_new_rows_alone_and_writes_the_tokens()
    {
        Grow();
        Host.Succeed(_tiny.Stage1(_tiny["one"], [.. StartEnd, "--max_steps", "2", "--model_name_or_path", _tiny["small"]]));
        var trained = Matrix(_tiny["one/mm_projector.bin"], "embed.weight");
        int pieces = trained.Length / 8 - 2;
        Host.Succeed(_tiny.Stage2(_tiny["two"], [.. StartEnd, "--max_steps", "1", "--learning_rate", "0", "--model_name_or_path", _tiny["small"],
            "--pretrain_mm_mlp_adapter", _tiny["one/mm_projector.bin"]]));
        var written = Matrix(_tiny["two/model.safetensors"], "embed.weight");
        Assert.Equal(trained[(pieces * 8)..], written[(pieces * 8)..(trained.Length)]);
        Assert.Equal(Matrix(_tiny["small/model.safetensors"], "embed.weight"), written[..(pieces * 8)]); // stage 1's other rows stay there
        Assert.True(LlavaConfig.Load(_tiny["two"]).ImageStartEnd);
        Assert.Equal(pieces, LlavaTokenizer.Load(_tiny["two"]).AddedTokens["<im_start>"]);

        // The written folder asks, converts and goes on by itself.
        Assert.Contains($"{pieces},-200,{pieces + 1}", Ask(_tiny["two"]));
        Host.Succeed("convert", "--from", _tiny["two"], "--to", _tiny["llava"], "--layout", "llava");
        Assert.Contains($"{pieces},-200,{pieces + 1}", Ask(_tiny["llava"]));
        Assert.Contains("\"mm_use_im_start_end\": true", File.ReadAllText(_tiny["llava/config.json"]));
        Assert.Contains("llama.cpp puts no <im_start> and <im_end> around images",
            Host.Mistake("convert", "--from", _tiny["two"], "--to", _tiny["gguf"], "--layout", "gguf"));
        var again = _tiny.Stage2(_tiny["three"], "--model_name_or_path", _tiny["two"], "--max_steps", "1", "--lora_enable", "True").ToList();
        again.RemoveRange(again.IndexOf("--vision_tower"), 2);
        Host.Succeed([.. again]);
    }

    [Fact]
    public void A_patch_token_is_a_row_that_nothing_uses()
    {
        Grow();
        Host.Succeed(_tiny.Stage2(_tiny["two"], "--mm_use_im_patch_token", "True", "--max_steps", "1", "--model_name_or_path", _tiny["small"]));
        int id = LlavaTokenizer.Load(_tiny["small"]).IdCount;
        Assert.Equal(id, LlavaTokenizer.Load(_tiny["two"]).AddedTokens["<im_patch>"]);
        Assert.DoesNotContain($"{id},-200", Ask(_tiny["two"]));
    }

    [Fact]
    public void An_adapter_brings_the_rows_of_tokens_that_its_base_lacks()
    {
        Grow();
        var tokenizer = LlavaTokenizer.Load(_tiny["small"]);
        int first = tokenizer.IdCount;
        Host.Succeed(_tiny.Stage1(_tiny["one"], [.. StartEnd, "--max_steps", "2", "--model_name_or_path", _tiny["small"]]));
        Host.Succeed(_tiny.Stage2(_tiny["lora"], [.. StartEnd, "--max_steps", "2", "--lora_enable", "True", "--lora_r", "2",
            "--model_name_or_path", _tiny["small"], "--pretrain_mm_mlp_adapter", _tiny["one/mm_projector.bin"]]));
        var trained = Matrix(_tiny["one/mm_projector.bin"], "embed.weight")[(first * 8)..];
        using (var adapter = LlavaSharp.Lora.AdapterReader.Open(_tiny["lora"]))
        {
            Assert.Equal(["embed.weight", "head.weight"], adapter.Replaced.Where(n => !n.StartsWith("projector", StringComparison.Ordinal)));
            Assert.True(adapter.TryGet("head.weight", out _, out var shape, out _));
            Assert.Equal([first + 2, 8], shape);
        }

        string[] over = ["--model", _tiny["small"], "--adapter", _tiny["lora"], "--vision_tower", _tiny.Clip];
        Host.Succeed(["merge-lora", .. over, "--output", _tiny["merged"]]);
        Assert.Equal(trained, Matrix(_tiny["merged/model.safetensors"], "embed.weight")[(first * 8)..((first + 2) * 8)]);
        var (code, answer, error) = Host.Run(["generate", .. over,
            "--image", Path.Combine(_tiny.Images, "1.png"), "--prompt", "Colour?", "--max_new_tokens", "1", "--json"]);
        Assert.True(code == 0, error);
        Assert.Contains($"{first},-200,{first + 1}", answer);
        Assert.Equal(Ask(_tiny["merged"]), answer);
    }

    [Fact]
    public void Mistakes()
    {
        Grow();
        Host.Succeed(_tiny.Stage1(_tiny["one"], [.. StartEnd, "--max_steps", "1"])); // another vocabulary than small's
        Assert.Contains("the new tokens' rows, or", Host.Mistake(_tiny.Stage2(_tiny["out"],
            [.. StartEnd, "--model_name_or_path", _tiny["small"], "--pretrain_mm_mlp_adapter", _tiny["one/mm_projector.bin"]])));
    }

    // A language model whose embedding ends with its pieces: new tokens need new rows.
    private void Grow()
    {
        var tokenizer = LlavaTokenizer.FromBytes(Checkpoints.TinyTokenizer.Bytes(), legacy: true);
        var config = Checkpoints.TinyModel.Config(vocabulary: tokenizer.PieceCount);
        HuggingFacePartsWriter.WriteLanguageModel(_tiny["small"], config.Text, new Checkpoints.TinyModel(config), tokenizer);
    }

    private static float[] Matrix(string file, string name)
    {
        using var source = new CheckpointSource(CheckpointReader.OpenFile(file));
        Assert.True(source.TryGet(name, out _, out _, out var bytes), file);
        return System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(bytes.ToArray()).ToArray();
    }

    private string Ask(string model)
    {
        var (code, answer, error) = Host.Run(
            "generate", "--model", model, "--image", Path.Combine(_tiny.Images, "1.png"), "--prompt", "Colour?", "--max_new_tokens", "1", "--json");
        Assert.True(code == 0, error);
        return answer;
    }
}
