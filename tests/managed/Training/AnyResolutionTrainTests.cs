using LlavaSharp.Checkpoints;
using LlavaSharp.Data;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

/// <summary>anyres from flags to files: both stages, both layouts, a question; and the batches it makes.</summary>
public sealed class AnyResolutionTrainTests : IDisposable
{
    private const int X = TokenizedSample.IgnoredLabel, Image = -200;

    private static readonly string[] Tiles =
        ["--image_aspect_ratio", "anyres", "--image_grid_pinpoints", "[[28, 56], (56, 28)]", "--mm_patch_merge_type", "spatial_unpad"];

    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Fact]
    public void Both_stages_both_layouts_and_a_question()
    {
        var (one, two) = (_tiny["one"], _tiny["two"]);
        Host.Succeed(_tiny.Stage1(one, [.. Tiles, "--max_steps", "2"]));
        var drawn = Newline(Path.Combine(one, "mm_projector.bin"));
        Assert.Equal(8, drawn.Length);
        Assert.Contains("\"mm_patch_merge_type\": \"spatial_unpad\"", File.ReadAllText(Path.Combine(one, "config.json")));

        // Stage 1 leaves the row as it was drawn; stage 2 goes on from it, and trains it.
        Host.Succeed(_tiny.Stage2(two, [.. Tiles, "--max_steps", "2", "--pretrain_mm_mlp_adapter", Path.Combine(one, "mm_projector.bin")]));
        var config = LlavaConfig.Load(two);
        Assert.Equal(("anyres", PatchMerge.SpatialUnpad), (config.ImageAspectRatio, config.PatchMerge));
        Assert.Equal([(28, 56), (56, 28)], config.GridPinpoints);
        Assert.Contains("\"model_type\": \"llava_next\"", File.ReadAllText(Path.Combine(two, "config.json")));
        Assert.Equal([[56, 28], [28, 56]], System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(Path.Combine(two, "config.json")))!
            ["image_grid_pinpoints"]!.AsArray().Select(p => p!.AsArray().Select(n => (int)n!).ToArray())); // heights first
        var trained = Newline(Path.Combine(two, "model.safetensors"));
        Assert.NotEqual(drawn, trained);
        Assert.True(drawn.Zip(trained).Max(p => Math.Abs(p.First - p.Second)) < 0.05);

        string answer = Ask(two);
        Host.Succeed("convert", "--from", two, "--to", _tiny["llava"], "--layout", "llava");
        Assert.Equal(answer, Ask(_tiny["llava"]));
        Host.Succeed("convert", "--from", _tiny["llava"], "--to", _tiny["again"], "--layout", "hf");
        Assert.Equal(trained, Newline(_tiny["again/model.safetensors"]));
        Assert.Equal(config.GridPinpoints, LlavaConfig.Load(_tiny["again"]).GridPinpoints);
        Assert.Equal(File.ReadAllText(Path.Combine(two, "preprocessor_config.json")), File.ReadAllText(_tiny["again/preprocessor_config.json"]));
        var (code, _, error) = Host.Run("convert", "--from", two, "--to", _tiny["gguf"], "--layout", "gguf");
        Assert.Equal(2, code);
        Assert.Contains("tiles of anyres pictures are not written to GGUF", error);
    }

    [Fact]
    public void An_adapter_keeps_the_row_and_the_canvases()
    {
        Host.Succeed(_tiny.Stage1(_tiny["one"], [.. Tiles, "--max_steps", "1"]));
        Host.Succeed(_tiny.Stage2(_tiny["lora"],
            [.. Tiles, "--max_steps", "2", "--lora_enable", "True", "--lora_r", "2", "--pretrain_mm_mlp_adapter", _tiny["one/mm_projector.bin"]]));
        Assert.NotEqual(Newline(_tiny["one/mm_projector.bin"]), Newline(_tiny["lora/non_lora_trainables.bin"]));
        Host.Succeed("merge-lora", "--model", _tiny.Llama, "--adapter", _tiny["lora"], "--output", _tiny["merged"], "--vision_tower", _tiny.Clip);
        Assert.Equal(Newline(_tiny["lora/non_lora_trainables.bin"]), Newline(_tiny["merged/model.safetensors"]));
        Assert.Equal([(28, 56), (56, 28)], LlavaConfig.Load(_tiny["merged"]).GridPinpoints);
    }

    [Theory]
    [InlineData("flat", 3 * 4)]
    [InlineData("spatial", 3 * 4)]
    [InlineData("spatial_unpad", 4 + (2 * 4) + 2)] // 20 × 40 fills the canvas of 28 × 56: four rows of two, a newline each
    public void Show_sample_counts_the_tokens_of_a_picture(string merge, int rows)
    {
        string[] flags = ["--image_aspect_ratio", "anyres", "--image_grid_pinpoints", "[[28, 56]]", "--mm_patch_merge_type", merge];
        var (_, shown, error) = Host.Run(["show-sample", "--model_name_or_path", _tiny.Llama, "--vision_tower", _tiny.Clip, "--version", "plain",
            "--data_path", _tiny.Captions, "--image_folder", _tiny.Images, "--index", "0", .. flags]);
        Assert.Equal("", error);
        Assert.Contains($"20 × 40 -> 28 × 28 (anyres), {(merge == "spatial_unpad" ? rows + 2 : rows)} rows", shown);
    }

    [Fact]
    public void Check_data_counts_tiles_towards_the_length()
    {
        string[] Flags(string length) =>
        [
            "check-data", "--model_name_or_path", _tiny.Llama, "--vision_tower", _tiny.Clip, "--version", "plain", "--data_path", _tiny.Captions,
            "--image_folder", _tiny.Images, "--model_max_length", length, "--image_aspect_ratio", "anyres",
            "--image_grid_pinpoints", "[[56, 56]]",
        ];
        Assert.Equal(0, Host.Run(Flags("2048")).Code);
        var (code, report, _) = Host.Run(Flags("21"));
        Assert.NotEqual(0, code);
        Assert.Contains("tokens with 20 of images, more than 21", report); // five tiles of four rows
    }

    [Theory]
    [InlineData("--image_grid_pinpoints is missing", new string[0], "anyres needs the sizes to cut pictures into: give --image_grid_pinpoints, such as")]
    [InlineData("not whole tiles", new[] { "--image_grid_pinpoints", "[[28, 30]]" }, "image_grid_pinpoints has [28, 30]: both must be multiples of the tower's 28 pixels")]
    [InlineData("a class token", new[] { "--image_grid_pinpoints", "[[28, 28]]", "--mm_vision_select_feature", "cls_patch" }, "anyres lays out patches, and the class token is none")]
    public void Mistakes(string what, string[] flags, string message)
    {
        var (code, _, error) = Host.Run(_tiny.Stage2(_tiny["out"], ["--image_aspect_ratio", "anyres", .. flags]));
        Assert.True(code == 2 && error.Contains(message, StringComparison.Ordinal), $"{what}: {error}");
    }

    /// <summary>transformers' layout has no such order of tiles: LLaVA's own has, and the next run and questions read it.</summary>
    [Theory]
    [InlineData("spatial", new[] { "--image_aspect_ratio=anyres", "--image_grid_pinpoints", "[[28, 56]]", "--mm_patch_merge_type", "spatial" })]
    [InlineData("flat", new[] { "--image_aspect_ratio=anyres", "--image_grid_pinpoints", "[[28, 56]]" })]
    [InlineData("linear", new[] { "--mm_projector_type", "linear" })]
    public void Full_training_leaves_LLaVAs_layout_where_the_other_holds_no_such_model(string what, string[] flags)
    {
        Host.Succeed(_tiny.Stage2(_tiny["out"], [.. flags, "--max_steps", "2"]));
        var config = LlavaConfig.Load(_tiny["out"]);
        Assert.Equal(FolderLayout.Llava, LlavaConfig.LayoutOf(_tiny["out"]));
        Assert.Equal(what, what == "linear" ? config.Projector.Name : PatchMerges.NameOf(config.PatchMerge));
        var (code, answer, error) = Host.Run(
            "generate", "--model", _tiny["out"], "--image", Path.Combine(_tiny.Images, "1.png"), "--prompt", "Colour?", "--max_new_tokens", "2");
        Assert.True(code == 0, error);
        Assert.EndsWith("\n", answer);
        string[] tiles = config.IsAnyResolution ? ["--image_aspect_ratio", "anyres"] : []; // Sizes and order are the folder's.
        List<string> again = [.. _tiny.Stage2(_tiny["again"], ["--model_name_or_path", _tiny["out"], "--max_steps", "1", .. tiles])];
        again.RemoveRange(again.IndexOf("--vision_tower"), 2);
        Host.Succeed([.. again]);
        Assert.Equal(config.PatchMerge, LlavaConfig.Load(_tiny["again"]).PatchMerge);
        Assert.Equal($"--mm_projector_type mlp3x_gelu: {_tiny["out"]} is a LLaVA checkpoint, whose projector is {config.Projector}",
            Host.Mistake([.. again, "--output_dir", _tiny["third"], "--mm_projector_type", "mlp3x_gelu"]));
    }

    [Fact]
    public void A_batch_lays_tiles_out_and_cuts_them()
    {
        // Two tiles of three rows; row 4 is not seen, a newline ends the picture.
        PreparedSample sample = new(0, "sample 0", new([1, Image, 7], [X, X, 7]), [new([0.5f, 0.25f], [0, 1, 2, 5, 3, -1], 2)]);
        var batch = new BatchBuilder(3, 100).Build([sample]);
        Assert.Equal([1, 0, 0, 0, 0, 0, PackedBatch.ImageNewline, 7], batch.Tokens);
        Assert.Equal([1, 2, 3, 5, -1, 4], batch.ImageSlots);
        Assert.Equal([X, X, X, X, X, X, X, 7], batch.Labels);
        Assert.Equal([0.5f, 0.25f], batch.Pixels);

        var cut = new BatchBuilder(3, 5).Build([sample]);
        Assert.Equal([1, 0, 0, 0, 0], cut.Tokens);
        Assert.Equal([1, 2, 3, -1, -1, 4], cut.ImageSlots);
    }

    private static float[] Newline(string file)
    {
        using var reader = CheckpointReader.OpenFile(file);
        using var source = new CheckpointSource(reader);
        Assert.True(source.TryGet("image_newline", out _, out _, out var bytes), file);
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
