using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Tests.Checkpoints;

public sealed class LlavaLayoutTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly Engine _engine = new();

    public void Dispose()
    {
        _engine.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("mlp2x_gelu", true)]
    [InlineData("mlp2x_gelu", false)]
    [InlineData("mlp3x_gelu", true)]
    [InlineData("linear", false)]
    public void What_is_written_computes_what_the_parts_compute(string projector, bool withTower)
    {
        LlavaConfig config = TinyFolders.Config(projector);
        TinyFolders.WriteParts(_folder["lm"], _folder["clip"], config);
        MmProjectorFile.Write(_folder["mm_projector.bin"], config, new TinyModel(config));
        LlavaLayoutWriter.Write(_folder["llava"], TinyFolders.Export(config), withTower);
        using (var reader = CheckpointReader.Open(_folder["llava"]))
        {
            Assert.Contains("model.mm_projector." + (projector == "linear" ? "weight" : "0.weight"), reader.Names);
            Assert.Contains("model.layers.1.self_attn.q_proj.weight", reader.Names);
            Assert.Equal(withTower, reader.Names.Contains("model.vision_tower.vision_tower.vision_model.pre_layrnorm.weight"));
        }

        float[] expected = TinyFolders.Logits(_engine, new ModelParts
        {
            LanguageFolder = _folder["lm"],
            ClipFolder = _folder["clip"],
            ProjectorFile = _folder["mm_projector.bin"],
            Projector = ProjectorType.Parse(projector),
        });
        Assert.True(expected.Distinct().Count() > expected.Length / 2);
        Assert.Equal(expected, TinyFolders.Logits(_engine, new ModelParts { LanguageFolder = _folder["llava"] }));
    }

    /// <summary>An adapter's config names the base's folder as its tower, by a path: the merged folder has a tower of its own.</summary>
    [Fact]
    public void A_tower_named_by_a_path_goes_into_the_folder()
    {
        LlavaConfig config = TinyFolders.Config();
        HuggingFaceLlavaWriter.Write(_folder["base"], TinyFolders.Export(config));
        ModelExport export = TinyFolders.Export(config);
        LlavaLayoutWriter.Write(_folder["merged"], export with { Fields = export.Fields.With("mm_vision_tower", _folder["base"]) }, withTower: false);
        Assert.True(File.Exists(_folder["merged/vision_tower/config.json"]));
        Directory.Delete(_folder["base"], recursive: true);
        using ModelSource source = ModelSource.Open(new ModelParts { LanguageFolder = _folder["merged"] });
        source.CheckShapes();
    }

    [Fact]
    public void The_config_says_everything_that_inference_reads()
    {
        LlavaLayoutWriter.Write(_folder["llava"], TinyFolders.Export(TinyFolders.Config(), TensorType.BF16) with { ShardBytesMax = 4096 });
        Assert.True(Directory.GetFiles(_folder["llava"], "model-*-of-*.safetensors").Length > 2);
        JsonObject json = JsonNode.Parse(File.ReadAllText(_folder["llava/config.json"]))!.AsObject();
        Dictionary<string, string> expected = new()
        {
            ["architectures"] = """["LlavaLlamaForCausalLM"]""",
            ["freeze_mm_mlp_adapter"] = "false",
            ["image_aspect_ratio"] = "\"pad\"",
            ["mm_hidden_size"] = "8",
            ["mm_patch_merge_type"] = "\"flat\"",
            ["mm_projector_lr"] = "null",
            ["mm_projector_type"] = "\"mlp2x_gelu\"",
            ["mm_use_im_patch_token"] = "false",
            ["mm_use_im_start_end"] = "false",
            ["mm_vision_select_feature"] = "\"patch\"",
            ["mm_vision_select_layer"] = "-2",
            ["mm_vision_tower"] = "\"vision_tower\"",
            ["model_type"] = "\"llava_llama\"",
            ["tokenizer_model_max_length"] = "2048",
            ["tokenizer_padding_side"] = "\"right\"",
            ["torch_dtype"] = "\"bfloat16\"",
            ["tune_mm_mlp_adapter"] = "false",
            ["use_cache"] = "true",
            ["use_mm_proj"] = "true",
            ["vocab_size"] = $"{TinyFolders.Tokenizer.PieceCount}",
        };
        Assert.All(expected, field => Assert.Equal(field.Value, json[field.Key]?.ToJsonString() ?? "null"));
        Assert.Equal("clip_vision_model", (string)JsonNode.Parse(File.ReadAllText(_folder["llava/vision_tower/config.json"]))!["model_type"]!);

        LlavaConfig mistral = TinyFolders.Config() with { Text = TinyFolders.Config().Text with { ModelType = "mistral" }, KeepClassToken = true };
        LlavaLayoutWriter.Write(_folder["mistral"], TinyFolders.Export(mistral));
        json = JsonNode.Parse(File.ReadAllText(_folder["mistral/config.json"]))!.AsObject();
        Assert.Equal(("llava_mistral", "cls_patch", """["LlavaMistralForCausalLM"]"""),
            ((string)json["model_type"]!, (string)json["mm_vision_select_feature"]!, json["architectures"]!.ToJsonString()));
        LlavaConfig read = LlavaConfig.Load(_folder["mistral"]);
        Assert.Equal(("mistral", true), (read.Text.ModelType, read.KeepClassToken));
    }

    [Fact]
    public void There_and_back_loses_neither_a_weight_nor_a_field()
    {
        LlavaFields fields = LlavaFields.None.With("mm_projector_lr", 2e-5).With("tokenizer_model_max_length", 1536).With("mm_use_im_patch_token", false);
        LlavaLayoutWriter.Write(_folder["a"], TinyFolders.Export(TinyFolders.Config()) with { Fields = fields, ModelMaxLength = 1536 });
        Rewrite("a", "hf", huggingFace: true);
        Rewrite("hf", "b", huggingFace: false);
        Rewrite("b", "hf2", huggingFace: true);
        Assert.Equal(FolderLayout.HuggingFace, LlavaConfig.LayoutOf(_folder["hf"]));
        Assert.Equal(2e-5, (double)JsonNode.Parse(File.ReadAllText(_folder["b/config.json"]))!["mm_projector_lr"]!);
        Assert.Equal(1536, LlavaFields.Read(_folder["b"]).ModelMaxLength);
        Assert.Equal(TinyFolders.Files(_folder["hf"]), TinyFolders.Files(_folder["hf2"]));

        Dictionary<string, string> first = TinyFolders.Files(_folder["a"]), second = TinyFolders.Files(_folder["b"]);
        Assert.Equal(first.Keys.Order(), second.Keys.Order());
        Assert.All(first.Keys, name => Assert.Equal(first[name], second[name]));
        Assert.Equal(TinyFolders.Logits(_engine, new ModelParts { LanguageFolder = _folder["a"] }),
            TinyFolders.Logits(_engine, new ModelParts { LanguageFolder = _folder["hf"] }));
    }

    [Fact]
    public void A_tower_is_found_by_name_beside_or_inside_and_can_be_given()
    {
        LlavaConfig config = TinyFolders.Config();
        TinyFolders.WriteParts(_folder["lm"], _folder["clip-tiny"], config);
        LlavaLayoutWriter.Write(_folder["llava"], TinyFolders.Export(config), withTower: false);
        float[] expected = TinyFolders.Logits(_engine, new ModelParts { LanguageFolder = _folder["llava"] });
        foreach (string name in (string[])["someone/clip-tiny", "../clip-tiny", _folder["clip-tiny"], _folder["clip-tiny"] + "/"])
        {
            SetField("llava", "mm_vision_tower", name);
            Assert.Equal(expected, TinyFolders.Logits(_engine, new ModelParts { LanguageFolder = _folder["llava"] }));
        }

        SetField("llava", "mm_vision_tower", "someone/clip-other");
        string config0 = _folder["llava/config.json"];
        Assert.Equal($"'{config0}': mm_vision_tower = 'someone/clip-other' is not a folder on this machine; name the CLIP folder with --vision_tower",
            Message(() => LlavaConfig.Load(_folder["llava"])));
        Assert.Equal(expected, TinyFolders.Logits(_engine, new ModelParts { LanguageFolder = _folder["llava"], ClipFolder = _folder["clip-tiny"] }));

        // A published tower's shape is known by its name; its weights are not.
        SetField("llava", "mm_vision_tower", "openai/clip-vit-large-patch14-336");
        SetField("llava", "mm_hidden_size", 1024);
        Assert.Equal(VisionConfig.ClipLarge336, LlavaConfig.Load(_folder["llava"]).Vision);
        Assert.Equal(336, ModelLoader.ReadProcessor(new ModelParts { LanguageFolder = Only("config.json") }).Size);
        Assert.Equal($"'{_folder["llava"]}' holds no vision tower, and the one that its config.json names by mm_vision_tower is not on this machine; name the CLIP folder with --vision_tower",
            Message(() => ModelSource.Open(new ModelParts { LanguageFolder = _folder["llava"] })));
    }

    [Fact]
    public void What_would_compute_otherwise_is_refused()
    {
        LlavaLayoutWriter.Write(_folder["llava"], TinyFolders.Export(TinyFolders.Config()));
        string path = _folder["llava/config.json"], original = File.ReadAllText(path);
        Refused("image_aspect_ratio", "best", "image_aspect_ratio = \"best\" is not supported; 'square', 'pad' and 'anyres' are");
        Refused("mm_patch_merge_type", "unpad", "mm_patch_merge_type = \"unpad\" is not supported; 'flat', 'spatial' and 'spatial_unpad' are");
        Refused("image_grid_pinpoints", 336, "image_grid_pinpoints = 336 should be a list of [width, height]");
        Refused("mm_vision_select_feature", "all", "mm_vision_select_feature = \"all\" is not supported; 'patch' and 'cls_patch' are");
        Refused("mm_vision_select_layer", null, "mm_vision_select_layer = null should be a whole number, such as -2");
        Refused("mm_vision_tower", null, "mm_vision_tower = null should be the name or folder of a CLIP model");
        Refused("mm_hidden_size", 9, "mm_hidden_size = 9, but the tower 'vision_tower' has 8; name the right CLIP folder with --vision_tower");
        SetField("llava", "mm_vision_select_layer", -9);
        Assert.Equal($"'{path}': mm_vision_select_layer = -9 is outside the tower, which has 2 layers; use -3 to 2", Message(() => LlavaConfig.Load(_folder["llava"])));
        File.WriteAllText(path, original);
        SetField("llava", "mm_projector_type", null);
        Assert.Equal("linear", LlavaConfig.Load(_folder["llava"]).Projector.Name);
        Assert.EndsWith("layer counts or the projector type differ from the checkpoint's", Message(() => ModelSource.Open(new ModelParts { LanguageFolder = _folder["llava"] })));
        Assert.Equal("LLaVA's layout needs a vision tower, and this model has none; name a CLIP folder with --vision_tower",
            Message(() => LlavaLayoutWriter.Write(_folder["no"], TinyFolders.Export(TinyFolders.Config() with { Vision = null }))));

        void Refused(string field, JsonNode? value, string message)
        {
            File.WriteAllText(path, original);
            SetField("llava", field, value);
            Assert.Equal($"'{path}': {message}", Message(() => LlavaConfig.Load(_folder["llava"])));
            File.WriteAllText(path, original);
        }
    }

    [Theory]
    [InlineData("llava", """["LlavaLlamaForCausalLM"]""", "llama")]
    [InlineData("llava_custom", """["LlavaMistralForCausalLM"]""", "mistral")]
    public void Older_model_types_are_read(string modelType, string architectures, string expected)
    {
        LlavaLayoutWriter.Write(_folder["llava"], TinyFolders.Export(TinyFolders.Config()));
        SetField("llava", "model_type", modelType);
        SetField("llava", "architectures", JsonNode.Parse(architectures));
        Assert.Equal(FolderLayout.Llava, LlavaConfig.LayoutOf(_folder["llava"]));
        Assert.Equal(expected, LlavaConfig.Load(_folder["llava"]).Text.ModelType);
    }

    [Fact]
    public void Bin_shards_of_a_language_model_and_of_a_whole_clip_load_directly()
    {
        LlavaConfig config = TinyFolders.Config();
        TinyFolders.WriteParts(_folder["lm"], _folder["clip"], config);
        MmProjectorFile.Write(_folder["mm_projector.bin"], config, new TinyModel(config));
        MmProjectorFile.Write(_folder["mm_projector.safetensors"], config, new TinyModel(config));
        var parts = new ModelParts { LanguageFolder = _folder["lm"], ClipFolder = _folder["clip"], ProjectorFile = _folder["mm_projector.bin"] };
        float[] expected = TinyFolders.Logits(_engine, parts);
        Assert.Equal(expected, TinyFolders.Logits(_engine, parts with { ProjectorFile = _folder["mm_projector.safetensors"] }));

        // As Vicuna is published: two shards, an index, and rotary tables that nothing needs.
        List<TensorSource> language = Tensors("lm"), clip = Tensors("clip");
        language.Add(TensorSource.FromFloats("model.layers.0.self_attn.rotary_emb.inv_freq", [2], new float[] { 1, 0.1f }));
        File.Delete(_folder["lm/model.safetensors"]);
        TensorSource[][] shards = [[.. language.Take(9)], [.. language.Skip(9)]];
        var map = new JsonObject();
        for (int i = 0; i < 2; i++)
        {
            string name = $"pytorch_model-0000{i + 1}-of-00002.bin";
            TorchArchive.Write(_folder[$"lm/{name}"], shards[i]);
            Array.ForEach(shards[i], t => map[t.Name] = name);
        }

        _folder.Write("lm/pytorch_model.bin.index.json", new JsonObject { ["metadata"] = new JsonObject(), ["weight_map"] = map }.ToJsonString());

        // As CLIP is published: one file with the text tower, position ids and the temperature.
        clip.Add(TensorSource.FromFloats("logit_scale", [], new float[] { 4.6f }));
        clip.Add(TensorSource.FromBytes("vision_model.embeddings.position_ids", TensorType.I64, [1, 5], new byte[40]));
        clip.Add(TensorSource.FromFloats("text_model.encoder.layers.0.self_attn.q_proj.weight", [1, 1], new float[1]));
        clip.Add(TensorSource.FromFloats("visual_projection.weight", [1, 1], new float[1]));
        File.Delete(_folder["clip/model.safetensors"]);
        TorchArchive.Write(_folder["clip/pytorch_model.bin"], clip);
        Assert.Equal(expected, TinyFolders.Logits(_engine, parts));

        List<TensorSource> Tensors(string folder)
        {
            using var reader = CheckpointReader.Open(_folder[folder]);
            return [.. reader.Names.Select(name =>
            {
                reader.TryGet(name, out TensorType type, out long[] shape, out LongBytes bytes);
                return TensorSource.FromBytes(name, type, shape, bytes.ToArray());
            })];
        }
    }

    private string Only(string file)
    {
        Directory.CreateDirectory(_folder["only"]);
        File.Copy(_folder["llava/" + file], _folder["only/" + file], overwrite: true);
        return _folder["only"];
    }

    private void Rewrite(string from, string to, bool huggingFace)
    {
        using var source = ModelSource.Open(new ModelParts { LanguageFolder = _folder[from] });
        LlavaFields fields = source.ReadFields();
        var export = new ModelExport
        {
            Config = source.Config,
            Parameters = source,
            Tokenizer = source.LoadTokenizer(),
            Processor = source.LoadProcessor(),
            Fields = fields,
            ModelMaxLength = fields.ModelMaxLength!.Value,
        };
        if (huggingFace)
        {
            HuggingFaceLlavaWriter.Write(_folder[to], export);
        }
        else
        {
            LlavaLayoutWriter.Write(_folder[to], export);
        }
    }

    private void SetField(string folder, string field, JsonNode? value)
    {
        string path = _folder[folder + "/config.json"];
        JsonObject json = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        json[field] = value;
        File.WriteAllText(path, json.ToJsonString());
    }

    private static string Message(Action action) => Assert.Throws<UserErrorException>(action).Message;
}
