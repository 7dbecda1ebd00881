using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Tokenization;
using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

/// <summary>Runs whose weights are stored in fewer bits: they are the runs of float32 weights of the same values.</summary>
public sealed class StorageTrainTests : IDisposable
{
    private static readonly string[] Lora = ["--lora_enable", "True", "--lora_r", "2", "--lora_alpha", "4", "--lora_dropout", "0.3"];

    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData("--bits 4", "the decoder's linears nf4 with magnitudes in a byte, all else float32")]
    [InlineData("--bits 4 --use_dora True", "the decoder's linears nf4 with magnitudes in a byte, all else float32")]
    [InlineData("--bits 8", "the decoder's linears int8, all else float32")]
    [InlineData("--bits 4 --quant_type fp4 --double_quant False --weights bfloat16 --freeze_mm_mlp_adapter True", "the decoder's linears fp4, all else bfloat16")]
    [InlineData("--weights bfloat16 --freeze_mm_mlp_adapter True", "bfloat16")]
    public void Adapters_are_those_of_a_base_that_holds_what_is_stored(string flags, string stored)
    {
        string[] more = [.. Lora, .. flags.Split(' ')];
        var options = TrainOptionsParser.Parse(more).Options;
        Assert.Equal(stored, options.Storage.ToString());
        WriteStored(options.Storage);
        var (code, _, error) = Host.Run(_tiny.Stage2(_tiny["out"], more));
        Assert.True(code == 0, error);
        Assert.Contains($"weights are stored as {stored}", error);
        Host.Succeed(_tiny.Stage2(_tiny["plain"], [
            .. Lora, "--model_name_or_path", _tiny["stored-llama"], "--vision_tower", _tiny["stored-clip"],
            "--freeze_mm_mlp_adapter", $"{options.FreezeMmMlpAdapter}", "--use_dora", $"{options.UseDora}", .. Projector(options)]));
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(_tiny["plain"], "adapter_model.safetensors")),
            File.ReadAllBytes(Path.Combine(_tiny["out"], "adapter_model.safetensors")));
        Assert.Equal(RunFolder.Log(_tiny["plain"]), RunFolder.Log(_tiny["out"]));
        Assert.Contains($"\"stored_weights\": \"{stored}\"", File.ReadAllText(Path.Combine(_tiny["out"], "train_config.json")));
    }

    [Theory]
    [InlineData("--lora_enable True --lora_r 2 --bits 4")]
    [InlineData("--lora_enable True --lora_r 2 --bits 8 --weights bfloat16")]
    [InlineData("--weights bfloat16")]
    [InlineData("--freeze_backbone True --bits 4")]
    public void A_run_that_was_stopped_ends_with_the_same_bytes(string flags)
    {
        var (whole, cut) = (_tiny["whole"], _tiny["cut"]);
        Host.Succeed(_tiny.Stage2(whole, flags.Split(' ')));
        using (var sink = new StoppingSink(3))
        {
            var options = TrainOptionsParser.Parse(_tiny.Stage2(cut, flags.Split(' '))[1..]).Options;
            Assert.Throws<OperationCanceledException>(() => FineTune.Run(options, sink, sink.Token));
        }

        Host.Succeed(_tiny.Stage2(cut, flags.Split(' ')));
        RunFolder.AssertSame(whole, cut);
    }

    [Fact]
    public void What_trains_in_bfloat16_is_kept_in_float32()
    {
        Host.Succeed(_tiny.Stage2(_tiny["out"], "--weights", "bfloat16", "--max_steps", "2"));
        using var trained = SafetensorsFile.Open(Path.Combine(_tiny["out"], "model.safetensors"));
        var values = trained.Floats("language_model.model.layers.1.mlp.up_proj.weight");
        Assert.Contains(values, v => (BitConverter.SingleToUInt32Bits(v) & 0xffff) != 0);
        Host.Succeed("convert", "--from", _tiny["out"], "--to", _tiny["half"], "--layout", "hf", "--dtype", "bf16");
        using var half = SafetensorsFile.Open(Path.Combine(_tiny["half"], "model.safetensors"));
        Assert.Equal(TensorType.BF16, half["language_model.model.layers.1.mlp.up_proj.weight"].Type);
    }

    [Fact]
    public void An_adapter_of_four_bits_merges_into_its_base_as_it_was()
    {
        Host.Succeed(_tiny.Stage2(_tiny["out"], [.. Lora, "--bits", "4"]));
        Host.Succeed("merge-lora", "--model", _tiny.Llama, "--adapter", _tiny["out"], "--vision_tower", _tiny.Clip, "--output", _tiny["merged"]);
        using var source = AdaptedModel.Open(_tiny.Llama, _tiny["out"], _tiny.Clip);
        using var merged = ModelSource.Open(new() { LanguageFolder = _tiny["merged"] });
        const string Name = "layer.1.mlp.down_proj.weight";
        Assert.True(source.Parameters.TryGet(Name, out _, out _, out var wanted));
        Assert.True(merged.TryGet(Name, out _, out _, out var given));
        Assert.Equal(wanted.ToArray(), given.ToArray());
        foreach (var flags in (string[][])[["--bits", "4"], ["--bits", "8", "--weights", "bfloat16"]])
        {
            var (code, answer, error) = Host.Run(
                ["generate", "--model", _tiny["merged"], "--prompt", "Colour?", "--max_new_tokens", "3", .. flags]);
            Assert.True(code == 0, error);
            Assert.EndsWith("\n", answer);
        }

        Assert.Equal("--bits 2: expected 16 or 8 or 4", Host.Mistake("generate", "--model", _tiny["merged"], "--prompt", "Q", "--bits", "2"));
    }

    [Fact]
    public void Mistakes()
    {
        Assert.Equal(
            "--bits 4: weights of so few bits cannot train; train adapters beside them with --lora_enable True, or leave the flag out",
            Host.Mistake(_tiny.Stage2(_tiny["out"], "--bits", "4")));
        var options = TrainOptionsParser.Parse(_tiny.Stage2(_tiny["out"], [.. Lora, "--bits", "8", "--zero", "3"])[1..]).Options;
        var error = Assert.Throws<UserErrorException>(() => TrainSetup.Open(options with { Place = options.Place with { World = 2 } }));
        Assert.Equal(
            "--zero 3 divides float32 weights, and these are stored otherwise (the decoder's linears int8, all else float32); "
            + "use --zero 2, or leave out --bits and --weights",
            error.Message);
        Assert.False(Directory.Exists(_tiny["out"]));
    }

    [Fact]
    public void A_dry_run_says_what_is_stored()
    {
        var (code, output, error) = Host.Run(_tiny.Stage2(_tiny["out"], [.. Lora, "--bits", "4", "--dry_run", "True"]));
        Assert.True(code == 0, error);
        Assert.Contains("the decoder's linears nf4 with magnitudes in a byte, all else float32", output);
    }

    // A fresh projector is drawn; one that is frozen in bfloat16 is drawn and rounded, which a file can hold.
    private string[] Projector(TrainOptions options) =>
        options.FreezeMmMlpAdapter ? ["--pretrain_mm_mlp_adapter", _tiny["mm_projector.bin"]] : [];

    // Folders of the weights that a model holds once they are stored, and a projector's file.
    private void WriteStored(WeightStorage storage)
    {
        using var engine = new Engine();
        using var source = ModelSource.Open(new() { LanguageFolder = _tiny.Llama, ClipFolder = _tiny.Clip, Seed = 42 });
        using var model = new Model(engine, storage.Apply(ModelLoader.ToModelConfig(source.Config)));
        ModelLoader.Fill(model, source, 42);
        var weights = new ModelParameterSource(model);
        var tokenizer = LlavaTokenizer.FromBytes(TinyTokenizer.Bytes(), legacy: true);
        HuggingFacePartsWriter.WriteLanguageModel(_tiny["stored-llama"], TinyModel.Config().Text, weights, tokenizer);
        HuggingFacePartsWriter.WriteVisionTower(
            _tiny["stored-clip"], TinyModel.Config().Vision!, weights, ImageProcessorConfig.Clip(28));
        MmProjectorFile.Write(_tiny["mm_projector.bin"], source.Config, weights);
    }
}
