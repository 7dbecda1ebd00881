using System.Text.Json;
using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tests.Training;

namespace LlavaSharp.Tests.Cli;

/// <summary>Folders as transformers pads and saves them: written by every layout's writer, read by every verb.</summary>
public sealed class ImageProcessorFilesTests : IDisposable
{
    private readonly TinyRun _tiny = new();
    private readonly LlavaConfig _config = TinyFolders.Config();

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData("pad", "LlavaImageProcessor", true)]
    [InlineData("square", "CLIPImageProcessor", null)]
    public void Transformers_layout_says_how_the_model_was_trained(string aspect, string type, bool? pads)
    {
        HuggingFaceLlavaWriter.Write(_tiny["hf"], TinyFolders.Export(_config with { ImageAspectRatio = aspect }));
        JsonNode processor = Json("hf", ImageProcessorConfig.FileName);
        Assert.Equal((type, pads, true, 28), (
            (string)processor["image_processor_type"]!, (bool?)processor["do_pad"], (bool)processor["do_center_crop"]!,
            (int)processor["crop_size"]!["height"]!));
        Assert.Equal("LlavaProcessor", (string)processor["processor_class"]!);
        Assert.Equal((aspect, aspect), (LlavaConfig.Load(_tiny["hf"]).ImageAspectRatio, (string)Json("hf", "config.json")["image_aspect_ratio"]!));

        // The settings stand in one file: transformers 4 takes no image_processor in the other.
        Assert.Null(Json("hf", ImageProcessorConfig.NestedFileName)["image_processor"]);
    }

    [Fact]
    public void The_original_layout_pads_by_its_config_and_there_and_back_is_the_same()
    {
        HuggingFaceLlavaWriter.Write(_tiny["hf"], TinyFolders.Export(_config));
        Host.Succeed("convert", "--from", _tiny["hf"], "--to", _tiny["llava"], "--layout", "llava");
        Host.Succeed("convert", "--from", _tiny["llava"], "--to", _tiny["again"], "--layout", "hf");
        foreach (string folder in (string[])["llava", "llava/vision_tower"])
        {
            JsonNode processor = Json(folder, ImageProcessorConfig.FileName);
            Assert.Equal(("CLIPImageProcessor", null), ((string)processor["image_processor_type"]!, processor["do_pad"]));
        }

        Assert.Equal("pad", (string)Json("llava", "config.json")["image_aspect_ratio"]!);
        Assert.Equal(
            File.ReadAllText(_tiny["hf/" + ImageProcessorConfig.FileName]), File.ReadAllText(_tiny["again/" + ImageProcessorConfig.FileName]));
    }

    /// <summary>transformers follows the processor's file and knows no image_aspect_ratio; a CLIPImageProcessor leaves it to us.</summary>
    [Theory]
    [InlineData("LlavaImageProcessor", true, null, "pad")]
    [InlineData("LlavaImageProcessorFast", true, "square", "pad")]
    [InlineData("LlavaImageProcessor", false, "pad", "square")]
    [InlineData("LlavaImageProcessor", null, "pad", "pad")]
    [InlineData("CLIPImageProcessor", null, "pad", "pad")]
    [InlineData("CLIPImageProcessor", null, null, "square")]
    public void Without_a_flag_the_folder_decides(string type, bool? pads, string? stated, string expected)
    {
        Foreign("model", type, pads, stated, nested: false);
        Foreign("model5", type, pads, stated, nested: true);
        Assert.Equal(
            (expected, expected), (LlavaConfig.Load(_tiny["model"]).ImageAspectRatio, LlavaConfig.Load(_tiny["model5"]).ImageAspectRatio));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Every_verb_reads_a_folder_that_transformers_pads(bool nested)
    {
        Foreign("model", "LlavaImageProcessor", true, null, nested);
        string image = Path.Combine(_tiny.Images, "2.png"), model = _tiny["model"];
        string[] data = ["--version", "v1", "--data_path", _tiny.Captions, "--image_folder", _tiny.Images, "--model_name_or_path", model];

        // The same model with the statement that we have always read answers the same.
        Foreign("ours", "CLIPImageProcessor", null, "pad", nested: false);
        string[] ask = ["--image", image, "--prompt", "Colour?", "--max_new_tokens", "4", "--json"];
        Assert.Equal(Host.Run(["generate", "--model", _tiny["ours"], .. ask]), Host.Run(["generate", "--model", model, .. ask]));

        var (shown, text, _) = Host.Run(["show-sample", "--index", "1", .. data]);
        Assert.Equal(0, shown);
        Assert.Contains("(pad)", text, StringComparison.Ordinal);
        Assert.Contains("(square)", Host.Run(["show-sample", "--index", "1", "--image_aspect_ratio", "square", .. data]).Out, StringComparison.Ordinal);
        Host.Succeed(["check-data", "--model_max_length", "2048", .. data]);
        Host.Succeed("convert", "--from", model, "--to", _tiny["llava"], "--layout", "llava");
        Assert.Equal("pad", LlavaConfig.Load(_tiny["llava"]).ImageAspectRatio);

        Host.Succeed(["train", "--output_dir", _tiny["out"], "--max_steps", "1", "--model_max_length", "2048", .. data]);
        Assert.Equal("pad", (string)Json("out", "train_config.json")["flags"]!["image_aspect_ratio"]!);
        Assert.Equal("LlavaImageProcessor", (string)Json("out", ImageProcessorConfig.FileName)["image_processor_type"]!);
        Host.Succeed(
            ["train", "--output_dir", _tiny["cropped"], "--max_steps", "1", "--model_max_length", "2048", "--image_aspect_ratio", "square", .. data]);
        Assert.Equal("square", LlavaConfig.Load(_tiny["cropped"]).ImageAspectRatio);
        Assert.Equal("CLIPImageProcessor", (string)Json("cropped", ImageProcessorConfig.FileName)["image_processor_type"]!);
    }

    [Fact]
    public void A_tower_that_transformers_5_saved_with_its_processor_is_read()
    {
        JsonNode settings = Json("clip", ImageProcessorConfig.FileName);
        File.Delete(_tiny["clip/" + ImageProcessorConfig.FileName]);
        Host.Mistake(_tiny.Stage2(_tiny["out"], "--max_steps", "1"));
        _tiny.WriteText("clip/" + ImageProcessorConfig.NestedFileName, Nested(settings));
        Host.Succeed(_tiny.Stage2(_tiny["out"], "--max_steps", "1"));
        Host.Succeed("check-data", "--version", "v1", "--data_path", _tiny.Captions, "--image_folder", _tiny.Images, "--vision_tower", _tiny.Clip);
    }

    /// <summary>A folder as others leave it: the processor's type and do_pad, and maybe LLaVA's own field.</summary>
    private void Foreign(string name, string type, bool? pads, string? stated, bool nested)
    {
        HuggingFaceLlavaWriter.Write(_tiny[name], TinyFolders.Export(_config));
        JsonNode config = Json(name, "config.json"), settings = Json(name, ImageProcessorConfig.FileName);
        config["image_aspect_ratio"] = stated;
        settings["image_processor_type"] = type;
        settings["do_pad"] = pads;
        _tiny.WriteText($"{name}/config.json", config.ToJsonString());
        _tiny.WriteText($"{name}/{ImageProcessorConfig.FileName}", settings.ToJsonString());
        if (nested)
        {
            File.Delete(_tiny[$"{name}/{ImageProcessorConfig.FileName}"]);
            _tiny.WriteText($"{name}/{ImageProcessorConfig.NestedFileName}", Nested(settings));
        }
    }

    private static string Nested(JsonNode settings) => JsonSerializer.Serialize(new { image_processor = settings, image_token = "<image>" });

    private JsonNode Json(string folder, string file) => JsonNode.Parse(File.ReadAllText(_tiny[$"{folder}/{file}"]))!;
}
