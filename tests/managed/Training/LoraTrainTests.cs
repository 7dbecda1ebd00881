using LlavaSharp.Checkpoints;
using LlavaSharp.Lora;
using LlavaSharp.Tests.Cli;

namespace LlavaSharp.Tests.Training;

/// <summary>Stage 2 with adapters, from flags to PEFT's folder, and on from a checkpoint.</summary>
public sealed class LoraTrainTests : IDisposable
{
    private static readonly string[] Flags = ["--lora_enable", "True", "--lora_r", "2", "--lora_alpha", "4", "--lora_dropout", "0.3"];

    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Fact]
    public void Adapters_and_projector_train_and_the_base_does_not()
    {
        Host.Succeed(_tiny.Stage2(_tiny["out"], Flags));
        Assert.Equal(
            [
                "adapter_config.json", "adapter_model.safetensors", "config.json", "events.out.tfevents.0.llavasharp", "log.jsonl",
                "non_lora_trainables.bin", "report.html", "train_config.json", "trainer_state.json",
            ],
            Directory.GetFiles(_tiny["out"]).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        using var adapter = AdapterReader.Open(_tiny["out"]);
        Assert.Equal((2, 4.0), (adapter.Config.Options.Rank, adapter.Config.Options.Alpha));
        Assert.Equal(14, adapter.Modules.Count); // seven linears in each of two layers
        Assert.Equal(["projector.0.bias", "projector.0.weight", "projector.2.bias", "projector.2.weight"], adapter.Replaced);
        Assert.All(adapter.Modules, module =>
        {
            Assert.True(adapter.TryGet(module + ".lora_B.weight", out _, out _, out var bytes));
            Assert.True(bytes.ToArray().AsSpan().ContainsAnyExcept((byte)0), $"{module} did not learn");
        });

        var (code, answer, error) = Host.Run(
            "generate", "--model", _tiny.Llama, "--adapter", _tiny["out"], "--vision_tower", _tiny.Clip,
            "--image", Path.Combine(_tiny.Images, "0.png"), "--prompt", "Colour?", "--max_new_tokens", "4");
        Assert.True(code == 0, error);
        Assert.EndsWith("\n", answer);
    }

    [Fact]
    public void Lengths_train_and_are_saved_as_PEFT_names_them()
    {
        Host.Succeed(_tiny.Stage2(_tiny["out"], [.. Flags, "--use_dora", "True"]));
        using (var adapter = AdapterReader.Open(_tiny["out"]))
        using (var file = SafetensorsFile.Open(Path.Combine(_tiny["out"], "adapter_model.safetensors")))
        using (var before = SafetensorsFile.Open(Path.Combine(_tiny.Llama, "model.safetensors")))
        {
            Assert.True(adapter.Config.Options.Dora);
            var trained = file.Floats("base_model.model.model.layers.1.mlp.up_proj.lora_magnitude_vector");
            var weight = before.Floats("model.layers.1.mlp.up_proj.weight");
            var width = weight.Length / trained.Length;
            var lengths = trained.Select((_, row) => Math.Sqrt(weight.Skip(row * width).Take(width).Sum(w => (double)w * w))).ToArray();
            Assert.All(lengths.Zip(trained), p => Assert.Equal(p.First, p.Second, 0.1 * p.First)); // Where they began,
            Assert.Contains(lengths.Zip(trained), p => Math.Abs(p.First - p.Second) > 1e-4 * p.First); // and not there any more.
        }

        Host.Succeed("merge-lora", "--model", _tiny.Llama, "--adapter", _tiny["out"], "--output", _tiny["merged"], "--vision_tower", _tiny.Clip);
        Assert.True(File.Exists(Path.Combine(_tiny["merged"], "model.safetensors")));
        Assert.Equal($"'{_tiny["out"]}' is DoRA's: how long rows were before it was merged is in no file; keep the base instead",
            Host.Mistake("merge-lora", "--unmerge", "--model", _tiny["merged"], "--adapter", _tiny["out"], "--output", _tiny["back"]));
    }

    [Fact]
    public void What_was_merged_comes_out_again()
    {
        Host.Succeed(_tiny.Stage2(_tiny["out"], Flags));
        Host.Succeed("merge-lora", "--model", _tiny.Llama, "--adapter", _tiny["out"], "--output", _tiny["merged"], "--vision_tower", _tiny.Clip);
        Host.Succeed("merge-lora", "--unmerge", "--model", _tiny["merged"], "--adapter", _tiny["out"], "--output", _tiny["back"]);
        using var first = SafetensorsFile.Open(Path.Combine(_tiny.Llama, "model.safetensors"));
        using var merged = SafetensorsFile.Open(Path.Combine(_tiny["merged"], "model.safetensors"));
        using var back = SafetensorsFile.Open(Path.Combine(_tiny["back"], "model.safetensors"));
        foreach (var name in first.Names.Where(n => n.EndsWith("_proj.weight", StringComparison.Ordinal)))
        {
            float[] weight = first.Floats(name), between = merged.Floats("language_model." + name), after = back.Floats("language_model." + name);
            Assert.Contains(weight.Zip(between), p => Math.Abs(p.First - p.Second) > 1e-4);
            Assert.All(weight.Zip(after), p => Assert.Equal(p.First, p.Second, 1e-6));
        }

        // What trained beside the adapters stays.
        const string Projector = "multi_modal_projector.linear_1.weight";
        Assert.Equal(merged.Floats(Projector), back.Floats(Projector));
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(5, false)]
    [InlineData(3, true)]
    public void A_run_that_was_stopped_ends_with_the_same_bytes(int after, bool dora)
    {
        var (whole, cut) = (_tiny["whole"], _tiny["cut"]);
        string[] flags = [.. Flags, "--use_dora", dora.ToString()];
        Host.Succeed(_tiny.Stage2(whole, flags));
        using (var sink = new StoppingSink(after))
        {
            var options = LlavaSharp.Training.TrainOptionsParser.Parse(_tiny.Stage2(cut, flags)[1..]).Options;
            Assert.Throws<OperationCanceledException>(() => LlavaSharp.Training.FineTune.Run(options, sink, sink.Token));
        }

        Assert.True(File.Exists(Path.Combine(cut, $"checkpoint-{after}", "adapter_model.safetensors")));
        Host.Succeed(_tiny.Stage2(cut, flags));
        RunFolder.AssertSame(whole, cut);
    }

    [Fact]
    public void With_stage_1_flags_everything_but_the_projector_is_frozen()
    {
        Host.Succeed(_tiny.Stage1(_tiny["out"], "--lora_enable", "True"));
        Assert.True(File.Exists(Path.Combine(_tiny["out"], "mm_projector.bin")));
        Assert.False(File.Exists(Path.Combine(_tiny["out"], "adapter_config.json")));
    }

    [Fact]
    public void A_frozen_backbone_trains_the_output_projection()
    {
        Host.Succeed(_tiny.Stage2(_tiny["out"], "--freeze_backbone", "--max_steps", "4", "--lr_scheduler_type", "constant"));
        using var before = SafetensorsFile.Open(Path.Combine(_tiny.Llama, "model.safetensors"));
        using var after = SafetensorsFile.Open(Path.Combine(_tiny["out"], "model.safetensors"));
        foreach (var (old, now, same) in (ReadOnlySpan<(string, string, bool)>)
            [
                ("model.norm.weight", "language_model.model.norm.weight", true),
                ("model.layers.1.mlp.up_proj.weight", "language_model.model.layers.1.mlp.up_proj.weight", true),
                ("lm_head.weight", "language_model.lm_head.weight", false),
            ])
        {
            var values = before.Floats(old);
            Assert.Equal(same, values.AsSpan().SequenceEqual(after.Floats(now).AsSpan(0, values.Length)));
        }
    }
}
