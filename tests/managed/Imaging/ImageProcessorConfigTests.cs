using LlavaSharp.Imaging;

namespace LlavaSharp.Tests.Imaging;

public sealed class ImageProcessorConfigTests : IDisposable
{
    private readonly TempFolder _folder = new();

    private string FilePath => _folder["preprocessor_config.json"];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("""{"size": 336, "crop_size": 336}""", 336, 336, true)]
    [InlineData("""{"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}""", 336, 336, true)]
    [InlineData("""{"size": {"height": 336, "width": 336}, "crop_size": {"height": 336, "width": 336}}""", 336, 336, false)]
    [InlineData("""{"size": {"shortest_edge": 300}, "crop_size": 256, "resample": 3, "do_pad": false, "do_resize": true}""", 256, 300, true)]
    [InlineData("{}", 224, 224, true)]
    [InlineData("""{"feature_extractor_type": "CLIPFeatureExtractor", "crop_size": 14, "size": 14, "do_pad": null}""", 14, 14, true)]
    public void Both_spellings_are_read(string json, int size, int edge, bool keepAspect)
    {
        ImageProcessorConfig config = Load(json);
        Assert.Equal((size, edge, keepAspect), (config.Size, config.ShortestEdge, config.KeepAspect));
        Assert.Equal([0.48145466f, 0.4578275f, 0.40821073f], config.Mean);
        Assert.Equal([0.26862954f, 0.26130258f, 0.27577711f], config.Std);
    }

    [Fact]
    public void Mean_deviation_and_factor_are_read()
    {
        ImageProcessorConfig config = Load("""{"image_mean": [0.5, 0.25, 0], "image_std": [1, 0.5, 2], "rescale_factor": 0.5}""");
        Assert.Equal([0.5f, 0.25f, 0f], config.Mean);
        Assert.Equal([1f, 0.5f, 2f], config.Std);
        Assert.Equal(0.5, config.RescaleFactor);
    }

    [Theory]
    [InlineData("""{"do_resize": false}""", "do_resize is false, and only true is implemented; pixels would differ from the model's own.")]
    [InlineData("""{"do_center_crop": false}""", "do_center_crop is false, and only true is implemented; pixels would differ from the model's own.")]
    [InlineData("""{"do_rescale": false}""", "do_rescale is false, and only true is implemented; pixels would differ from the model's own.")]
    [InlineData("""{"do_normalize": false}""", "do_normalize is false, and only true is implemented; pixels would differ from the model's own.")]
    [InlineData("""{"do_pad": true}""", "do_pad is true, and only false is implemented; pixels would differ from the model's own.")]
    [InlineData("""{"image_processor_type": "CLIPImageProcessor", "do_pad": true}""", "do_pad is true, and only false is implemented; pixels would differ from the model's own.")]
    [InlineData("""{"image_processor_type": "LlavaImageProcessor", "do_pad": "yes"}""", "do_pad is \"yes\"; expected true or false.")]
    [InlineData("""{"image_processor_type": "LlavaOnevisionImageProcessor", "do_pad": true}""", "do_pad is true, and only false is implemented; pixels would differ from the model's own.")]
    [InlineData("""{"resample": 2}""", "resample is 2, and only 3 is implemented; pixels would differ from the model's own.")]
    [InlineData("""{"image_processor_type": "SiglipImageProcessor"}""", "image_processor_type is \"SiglipImageProcessor\", and only a CLIP or LLaVA processor is implemented; pixels would differ from the model's own.")]
    [InlineData("""{"size": {"longest_edge": 4}}""", "size is {\"longest_edge\": 4}; expected a number or {\"height\": n, \"width\": n}.")]
    [InlineData("""{"size": {"height": 4, "width": 5}}""", "size is {\"height\": 4, \"width\": 5}, and only squares are implemented.")]
    [InlineData("""{"size": 0}""", "size is 0; expected pixels, 1 … 8192.")]
    [InlineData("""{"crop_size": {"height": 1e9, "width": 5}}""", "crop_size.height is 1e9; expected pixels, 1 … 8192.")]
    [InlineData("""{"size": {"shortest_edge": "a"}}""", "size.shortest_edge is \"a\"; expected pixels, 1 … 8192.")]
    [InlineData("""{"image_mean": [1, 2]}""", "image_mean is [1, 2]; expected three numbers.")]
    [InlineData("""{"image_mean": [1, 2, "x"]}""", "image_mean is [1, 2, \"x\"]; expected three numbers.")]
    [InlineData("""{"image_std": [1, 0, 1]}""", "image_std is [1, 0, 1]; expected three numbers above 0.")]
    [InlineData("""{"rescale_factor": -1}""", "rescale_factor is -1; expected a number above 0.")]
    public void What_is_not_implemented_is_refused_by_name_and_value(string json, string message)
    {
        Assert.Equal($"{FilePath}: {message}", Assert.Throws<UserErrorException>(() => Load(json)).Message);
    }

    [Theory]
    [InlineData("""{"image_processor_type": "LlavaImageProcessor", "do_pad": true}""", true)]
    [InlineData("""{"image_processor_type": "LlavaImageProcessorFast", "do_pad": true}""", true)]
    [InlineData("""{"image_processor_type": "LlavaImageProcessor", "do_pad": false}""", false)]
    [InlineData("""{"image_processor_type": "LlavaImageProcessor"}""", null)]
    [InlineData("""{"image_processor_type": "LlavaImageProcessor", "do_pad": null}""", null)]
    [InlineData("""{"image_processor_type": "LlavaNextImageProcessor", "do_pad": true}""", null)]
    [InlineData("""{"image_processor_type": "LlavaNextImageProcessorFast", "do_pad": true}""", null)]
    [InlineData("""{"image_processor_type": "CLIPImageProcessorFast", "do_pad": false}""", null)]
    [InlineData("{}", null)]
    public void A_LlavaImageProcessor_says_whether_it_pads(string json, bool? pads) => Assert.Equal(pads, Load(json).Pads);

    [Fact]
    public void A_null_stands_for_the_class_value()
    {
        ImageProcessorConfig config = Load(
            """{"size": null, "crop_size": null, "image_mean": null, "image_std": null, "rescale_factor": null, "resample": null, "image_processor_type": null}""");
        Assert.Equal((224, 224, true, 1 / 255.0), (config.Size, config.ShortestEdge, config.KeepAspect, config.RescaleFactor));
        Assert.Equal(ImageProcessorConfig.Clip(224).Mean, config.Mean);
        Assert.Equal(ImageProcessorConfig.Clip(224).Std, config.Std);
    }

    /// <summary>transformers 5.12: the nested one goes first, and a processor's file without one counts for nothing.</summary>
    [Theory]
    [InlineData("""{"image_processor": {"size": 12, "crop_size": 12}}""", """{"size": 20, "crop_size": 20}""", 12)]
    [InlineData("""{"image_processor": {"size": 12, "crop_size": 12}}""", "no JSON", 12)]
    [InlineData("""{"image_processor": {"size": 12, "crop_size": 12}}""", null, 12)]
    [InlineData("""{"image_processor": null, "patch_size": 14}""", """{"size": 20, "crop_size": 20}""", 20)]
    [InlineData("""{"patch_size": 14}""", """{"size": 20, "crop_size": 20}""", 20)]
    public void The_nested_settings_go_first(string nested, string? own, int size)
    {
        _folder.Write(ImageProcessorConfig.NestedFileName, nested);
        if (own is not null)
        {
            _folder.Write(ImageProcessorConfig.FileName, own);
        }

        Assert.Equal(size, ImageProcessorConfig.Load(_folder.Path).Size);
    }

    [Theory]
    [InlineData("""{"image_processor": {"do_resize": false}}""", ": image_processor: do_resize is false, and only true is implemented; pixels would differ from the model's own.")]
    [InlineData("""{"image_processor": "CLIPImageProcessor"}""", ": image_processor holds a JSON string, not an object of image processor settings.")]
    [InlineData("[]", " holds a JSON array, not an object of processor settings.")]
    [InlineData("{\n\n", ", line 3: not valid JSON. Restore the file from the model's original folder.")]
    [InlineData("", ", line 1: not valid JSON. Restore the file from the model's original folder.")]
    public void What_is_wrong_with_the_nested_settings_is_said_of_their_file(string nested, string message)
    {
        string path = _folder.Write(ImageProcessorConfig.NestedFileName, nested);
        _folder.Write(ImageProcessorConfig.FileName, "{}");
        Assert.Equal(path + message, Assert.Throws<UserErrorException>(() => ImageProcessorConfig.Load(_folder.Path)).Message);
    }

    [Fact]
    public void Malformed_files_are_named_with_their_line()
    {
        Assert.StartsWith(
            $"'{FilePath}' is a Git LFS pointer in place of the file of 7 bytes; ",
            Assert.Throws<UserErrorException>(() => Load("version https://git-lfs.github.com/spec/v1\nsize 7\n")).Message,
            StringComparison.Ordinal);
        Assert.Equal(
            $"{FilePath}, line 3: not valid JSON. Restore the file from the model's original folder.",
            Assert.Throws<UserErrorException>(() => Load("{\n\"size\": 3,\n oops}")).Message);
        Assert.Equal(
            $"{FilePath} holds a JSON array, not an object of image processor settings.",
            Assert.Throws<UserErrorException>(() => Load("[]")).Message);
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        UserErrorException error = Assert.Throws<UserErrorException>(() => ImageProcessorConfig.Load(_folder.Path));
        Assert.StartsWith($"{FilePath} cannot be read: ", error.Message);
        Assert.EndsWith("copy it from the model's original folder.", error.Message);
    }

    [Fact]
    public void What_is_written_reads_back()
    {
        ImageProcessorConfig[] configs =
        [
            ImageProcessorConfig.Clip(56),
            ImageProcessorConfig.Clip(56) with { KeepAspect = false, RescaleFactor = 0.25 },
            ImageProcessorConfig.Clip(56) with { Pads = true },
            ImageProcessorConfig.Clip(56) with { Pads = false },
            new ImageProcessorConfig(12, [0.1f, 0.2f, 0.3f], [1, 2, 3]) { ShortestEdge = 20 },
        ];
        foreach (ImageProcessorConfig config in configs)
        {
            ImageProcessorConfig read = Load(config.ToJson());
            Assert.Equal(config.Mean, read.Mean);
            Assert.Equal(config.Std, read.Std);
            Assert.Equal(config, read with { Mean = config.Mean, Std = config.Std });
        }
    }

    private ImageProcessorConfig Load(string json)
    {
        File.WriteAllText(FilePath, json);
        return ImageProcessorConfig.Load(_folder.Path);
    }
}
