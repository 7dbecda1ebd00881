using LlavaSharp.Checkpoints;
using LlavaSharp.Lora;
using LlavaSharp.Tests.Cli;

namespace LlavaSharp.Tests.Training;

/// <summary>--unfreeze_mm_vision_tower: the tower trains, at its own rate where it has one, and goes with the result.</summary>
public sealed class TowerTrainTests : IDisposable
{
    private const string Run = "vision.encoder.layers.0.mlp.fc1.weight", Patches = "vision.embeddings.patch_embedding.weight";

    // The tower has two layers, and -2 selects the first one's output: the second is never run.
    private const string Unused = "vision.encoder.layers.1.mlp.fc1.weight";

    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Fact]
    public void The_tower_trains_and_what_is_not_run_stays()
    {
        Host.Succeed(_tiny.Stage2(_tiny["out"], "--unfreeze_mm_vision_tower", "True", "--max_steps", "3"));
        foreach (string name in (string[])[Run, Patches])
        {
            Assert.NotEqual(Values(_tiny.Clip, name), Values(_tiny["out"], name));
        }

        Assert.Equal(Values(_tiny.Clip, Unused), Values(_tiny["out"], Unused));
        Assert.Contains("\"unfreeze_mm_vision_tower\": true", File.ReadAllText(_tiny["out/train_config.json"]));

        Host.Succeed(_tiny.Stage2(_tiny["still"], "--unfreeze_mm_vision_tower", "True", "--mm_vision_tower_lr", "0", "--max_steps", "3"));
        Assert.Equal(Values(_tiny.Clip, Run), Values(_tiny["still"], Run));
        Assert.NotEqual(Values(_tiny.Llama, "layer.0.mlp.up_proj.weight"), Values(_tiny["still"], "layer.0.mlp.up_proj.weight"));
    }

    [Fact]
    public void A_stopped_run_ends_with_the_same_bytes_and_an_adapter_keeps_its_tower()
    {
        string[] flags = ["--unfreeze_mm_vision_tower", "True", "--lora_enable", "True", "--lora_r", "2", "--max_steps", "4"];
        Host.Succeed(_tiny.Stage2(_tiny["whole"], flags));
        using (var sink = new StoppingSink(2))
        {
            var options = LlavaSharp.Training.TrainOptionsParser.Parse(_tiny.Stage2(_tiny["cut"], flags)[1..]).Options;
            Assert.Throws<OperationCanceledException>(() => LlavaSharp.Training.FineTune.Run(options, sink, sink.Token));
        }

        Host.Succeed(_tiny.Stage2(_tiny["cut"], flags));
        RunFolder.AssertSame(_tiny["whole"], _tiny["cut"]);
        using var adapter = AdapterReader.Open(_tiny["whole"]);
        Assert.Contains(Run, adapter.Replaced);
    }

    [Fact]
    public void Stage_1_would_lose_the_tower() => Assert.Equal(
        "--tune_mm_mlp_adapter and --unfreeze_mm_vision_tower together: stage 1 keeps the projector alone, and the tower would be lost; give one",
        Host.Mistake(_tiny.Stage1(_tiny["out"], "--unfreeze_mm_vision_tower", "True")));

    private static float[] Values(string folder, string name)
    {
        using var source = new CheckpointSource(CheckpointReader.Open(folder));
        Assert.True(source.TryGet(name, out _, out _, out var bytes), name);
        return System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(bytes.ToArray()).ToArray();
    }
}
