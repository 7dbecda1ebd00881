using LlavaSharp.Checkpoints;
using LlavaSharp.Data;
using LlavaSharp.Gguf;
using LlavaSharp.Templates;
using LlavaSharp.Tests.Checkpoints;

namespace LlavaSharp.Tests.Gguf;

public sealed class GgufExportTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_language_model_has_llama_cpps_keys_names_and_rows()
    {
        LlavaConfig config = TinyFolders.Config();
        (string path, _) = GgufExport.Write(_folder["out"], TinyFolders.Export(config), GgufType.F32, "tiny");
        Assert.Equal(_folder["out/model-f32.gguf"], path);
        var file = new GgufFile(path);
        Dictionary<string, object> expected = new()
        {
            ["general.architecture"] = "llama",
            ["general.name"] = "tiny",
            ["general.file_type"] = 0u,
            ["llama.vocab_size"] = (uint)config.Text.VocabularySize,
            ["llama.context_length"] = 2048u,
            ["llama.embedding_length"] = 8u,
            ["llama.block_count"] = 2u,
            ["llama.feed_forward_length"] = 12u,
            ["llama.attention.head_count"] = 2u,
            ["llama.attention.head_count_kv"] = 1u,
            ["llama.attention.key_length"] = 4u,
            ["llama.attention.layer_norm_rms_epsilon"] = 1e-5f,
            ["llama.rope.dimension_count"] = 4u,
            ["llama.rope.freq_base"] = 5000f,
            ["tokenizer.ggml.model"] = "llama",
            ["tokenizer.ggml.bos_token_id"] = 1u,
            ["tokenizer.ggml.eos_token_id"] = 2u,
            ["tokenizer.ggml.unknown_token_id"] = 0u,
            ["tokenizer.ggml.add_bos_token"] = true,
            ["tokenizer.ggml.add_eos_token"] = false,
            ["tokenizer.ggml.add_space_prefix"] = true,
        };
        Assert.All(expected, p => Assert.Equal(p.Value, file.Metadata[p.Key]));
        Assert.Equal(["<unk>", "<s>", "</s>", "<0x00>"], ((object[])file.Metadata["tokenizer.ggml.tokens"])[..4]);
        Assert.Equal([2, 3, 3, 6], ((object[])file.Metadata["tokenizer.ggml.token_type"])[..4]);
        Assert.Equal(TinyFolders.Tokenizer.PieceCount, ((object[])file.Metadata["tokenizer.ggml.scores"]).Length);
        Assert.Equal([8, 12], file.Tensors["blk.1.ffn_up.weight"].Axes);
        Assert.Equal(
            ["attn_k", "attn_norm", "attn_output", "attn_q", "attn_v", "ffn_down", "ffn_gate", "ffn_norm", "ffn_up"],
            file.Tensors.Keys.Where(n => n.StartsWith("blk.0.", StringComparison.Ordinal)).Select(n => n.Split('.')[2]).Order(StringComparer.Ordinal));
        Assert.Equal(21, file.Tensors.Count);
        Assert.Equal(TinyModel.Values("layer.1.mlp.gate_proj.weight", 96), file.Floats("blk.1.ffn_gate.weight"));
        Assert.Equal(TinyModel.Values("head.norm.weight", 8), file.Floats("output_norm.weight"));
        Assert.Equal(TinyModel.Values("embed.weight", 8 * config.Text.VocabularySize), file.Floats("token_embd.weight"));

        // Two heads of four rows: llama.cpp's row 2j + t of a head is the checkpoint's row j + 2t.
        int[] order = [0, 2, 1, 3, 4, 6, 5, 7];
        float[] query = TinyModel.Values("layer.0.self_attn.q_proj.weight", 64), key = TinyModel.Values("layer.0.self_attn.k_proj.weight", 32);
        Assert.Equal(order.SelectMany(row => query.Skip(8 * row).Take(8)), file.Floats("blk.0.attn_q.weight"));
        Assert.Equal(order[..4].SelectMany(row => key.Skip(8 * row).Take(8)), file.Floats("blk.0.attn_k.weight"));
        Assert.Equal(TinyModel.Values("layer.0.self_attn.v_proj.weight", 32), file.Floats("blk.0.attn_v.weight"));
    }

    [Fact]
    public void The_tower_has_its_layers_up_to_the_feature_layer_and_the_projector()
    {
        LlavaConfig config = TinyFolders.Config();
        (_, string path) = GgufExport.Write(_folder["out"], TinyFolders.Export(config), GgufType.F32, "tiny");
        Assert.Equal(_folder["out/mmproj-f32.gguf"], path);
        var file = new GgufFile(path);
        Dictionary<string, object> expected = new()
        {
            ["general.architecture"] = "clip",
            ["general.type"] = "mmproj",
            ["clip.has_vision_encoder"] = true,
            ["clip.has_text_encoder"] = false,
            ["clip.has_llava_projector"] = true,
            ["clip.projector_type"] = "mlp",
            ["clip.use_gelu"] = false,
            ["clip.vision.image_size"] = 28u,
            ["clip.vision.patch_size"] = 14u,
            ["clip.vision.embedding_length"] = 8u,
            ["clip.vision.feed_forward_length"] = 12u,
            ["clip.vision.block_count"] = 1u,
            ["clip.vision.attention.head_count"] = 2u,
            ["clip.vision.attention.layer_norm_epsilon"] = 1e-5f,
        };
        Assert.All(expected, p => Assert.Equal(p.Value, file.Metadata[p.Key]));
        Assert.Equal([1], (object[])file.Metadata["clip.vision.feature_layer"]);
        Assert.Equal([0.48145466f, 0.4578275f, 0.40821073f], ((object[])file.Metadata["clip.vision.image_mean"]).Cast<float>());
        Assert.Equal([14, 14, 3, 8], file.Tensors["v.patch_embd.weight"].Axes);
        Assert.Equal(TinyModel.Values("vision.embeddings.class_embedding", 8), file.Floats("v.class_embd"));
        Assert.Equal(TinyModel.Values("vision.encoder.layers.0.mlp.fc1.weight", 96), file.Floats("v.blk.0.ffn_up.weight"));
        Assert.Equal(TinyModel.Values("vision.encoder.layers.0.self_attn.out_proj.bias", 8), file.Floats("v.blk.0.attn_out.bias"));
        Assert.Equal(TinyModel.Values("vision.pre_layrnorm.bias", 8), file.Floats("v.pre_ln.bias"));
        Assert.Equal(TinyModel.Values("projector.2.weight", 64), file.Floats("mm.2.weight"));
        Assert.DoesNotContain(file.Tensors.Keys, n => n.StartsWith("v.blk.1.", StringComparison.Ordinal) || n.StartsWith("v.post_ln", StringComparison.Ordinal));
        Assert.Equal("v.blk.3.ffn_down.bias", GgufVisionTower.NameOf("vision.encoder.layers.3.mlp.fc1.bias", squareMlp: true));
    }

    [Theory]
    [InlineData(GgufType.F16, 1u, 1, 1u)]
    [InlineData(GgufType.BF16, 30u, 32, 1u)]
    [InlineData(GgufType.Q8Zero, 8u, 7, 1u)]
    public void Matrices_take_the_type_asked_for_and_vectors_stay_float32(GgufType type, uint stored, int fileType, uint tower)
    {
        LlavaConfig config = TinyFolders.Config() with
        {
            Text = TinyFolders.Config().Text with { HiddenSize = 32, IntermediateSize = 40, HeadDim = 16 },
        };
        config = config with { Vision = config.Vision! with { HiddenSize = 16 } };
        (string language, string projector) = GgufExport.Write(_folder["out"], TinyFolders.Export(config), type, "tiny");
        var file = new GgufFile(language);
        Assert.Equal((uint)fileType, file.Metadata["general.file_type"]);
        Assert.Equal((stored, 0u), (file.Tensors["token_embd.weight"].Type, file.Tensors["blk.0.attn_norm.weight"].Type));

        // A row of 40 holds no whole blocks of 32.
        Assert.Equal(type == GgufType.Q8Zero ? 1u : stored, file.Tensors["blk.0.ffn_down.weight"].Type);
        // Half a step of 1/127 of the largest value, and the rounding of the scale to eleven bits.
        float[] values = TinyModel.Values("layer.1.self_attn.v_proj.weight", 32 * 16);
        Assert.All(file.Floats("blk.1.attn_v.weight").Zip(values), p => Assert.Equal(p.Second, p.First, 0.25 * ((0.5 / 127) + (1.0 / 2048))));
        var clip = new GgufFile(projector);
        Assert.Equal((tower, 0u, 0u), (clip.Tensors["mm.0.weight"].Type, clip.Tensors["mm.0.bias"].Type, clip.Tensors["v.position_embd.weight"].Type));
    }

    [Fact]
    public void A_block_of_q8_0_is_a_half_scale_and_rounded_bytes()
    {
        float[] values = [.. Enumerable.Range(0, 32).Select(i => (i - 16) * 0.5f)];
        byte[] bytes = new byte[34];
        GgufTypes.Encode(values, GgufType.Q8Zero, bytes);
        Assert.Equal((Half)(8f / 127), BitConverter.ToHalf(bytes));
        Assert.Equal(values.Select(v => (sbyte)Math.Round(v * 127 / 8, MidpointRounding.AwayFromZero)), bytes[2..].Select(b => (sbyte)b));
        GgufTypes.Encode(new float[32], GgufType.Q8Zero, bytes);
        Assert.All(bytes, b => Assert.Equal(0, b));
        Assert.Throws<ArgumentException>(() => GgufTypes.RowBytes(GgufType.Q8Zero, 33));
    }

    [Fact]
    public void Rows_without_a_token_get_a_name_and_added_tokens_keep_theirs()
    {
        LlavaConfig written = HuggingFaceLlavaWriter.Write(_folder["hf"], TinyFolders.Export(TinyFolders.Config()));
        using var source = ModelSource.Open(new ModelParts { LanguageFolder = _folder["hf"] });
        var export = new ModelExport
        {
            Config = source.Config,
            Parameters = source,
            Tokenizer = source.LoadTokenizer(),
            Processor = source.LoadProcessor(),
        };
        var file = new GgufFile(GgufExport.Write(_folder["out"], export, GgufType.F32, "x").Model);
        object[] tokens = (object[])file.Metadata["tokenizer.ggml.tokens"], kinds = (object[])file.Metadata["tokenizer.ggml.token_type"];
        int image = written.ImageTokenIndex!.Value;
        Assert.Equal(written.Text.VocabularySize, tokens.Length);
        Assert.Equal(("<image>", 3, "<pad>", 3), (tokens[image], kinds[image], tokens[image + 1], kinds[image + 1]));
        Assert.Equal(($"[PAD{image + 2}]", 5), (tokens[image + 2], kinds[image + 2]));
        Assert.Equal(tokens.Length, tokens.Distinct().Count());
        Assert.Equal((uint)(image + 1), file.Metadata["tokenizer.ggml.padding_token_id"]);
    }

    [Fact]
    public void The_file_says_how_the_model_is_asked()
    {
        ModelExport export = TinyFolders.Export(TinyFolders.Config());
        string path = GgufExport.Write(_folder["out"], export, GgufType.F32, "x", ConversationTemplates.Get("v1")).Model;
        string template = (string)new GgufFile(path).Metadata["tokenizer.chat_template"];
        Assert.Equal(GgufChatTemplate.Of(ConversationTemplates.Get("v1")), template);
        Assert.EndsWith("{% if add_generation_prompt %}{{ \"ASSISTANT:\" }}{% endif %}", template);
        Assert.DoesNotContain("tokenizer.ggml.eot_token_id", new GgufFile(path).Metadata.Keys);
        List<string> notes = [];
        path = GgufExport.Write(
            _folder["out"], TinyFolders.Export(TinyFolders.Config()), GgufType.F32, "x", ConversationTemplates.Get("plain"), notes.Add).Model;
        Assert.DoesNotContain("tokenizer.chat_template", new GgufFile(path).Metadata.Keys);
        Assert.Equal("model-f32.gguf has no chat template: plain asks with the picture alone, and a chat has questions; name another with "
            + "--template", Assert.Single(notes));
    }

    public static TheoryData<string> ChatNames => [.. ConversationTemplates.Names().Concat(
        ConversationTemplates.Names(TemplateDialect.Itrex).Select(n => "itrex_" + n)).Where(n => !n.Contains("plain"))];

    [Theory]
    [MemberData(nameof(ChatNames))]
    public void A_chat_template_makes_the_prompt_that_generate_makes(string name)
    {
        var template = ConversationTemplates.Get(name);
        string jinja = GgufChatTemplate.Of(template)!;
        Turn[] turns = [new("human", "Is \"it\" 'red'?\n"), new("gpt", "A1 {{ x }}"), new("human", "Q2"), new("gpt", "A2"), new("human", "Q3")];
        for (int count = 1; count <= turns.Length; count += 2)
        {
            Assert.Equal(Asked(template, turns[..count]), TinyJinja.Render(jinja, turns[..count]));
            Assert.Equal(
                Asked(template.WithSystem("Be brief."), turns[..count]), TinyJinja.Render(jinja, [new("system", "Be brief."), .. turns[..count]]));
        }

        Assert.False(TinyJinja.Render(jinja, turns[..2], ask: false).EndsWith(template.AssistantRole, StringComparison.Ordinal));

        static string Asked(ConversationTemplate template, Turn[] turns) =>
            PromptText.Join(template, [.. template.Examples, .. turns, new Turn("gpt", "")]).Text;
    }

    [Fact]
    public void End_tokens_are_those_of_the_config_and_of_the_template()
    {
        var tokenizer = TinyFolders.Tokenizer.WithTokens("<|im_end|>");
        int mark = TinyFolders.Tokenizer.IdCount;
        ModelExport plain = TinyFolders.Export(TinyFolders.Config());
        ModelExport export = plain with
        {
            Config = plain.Config with { Text = plain.Config.Text with { VocabularySize = mark + 1 } },
            Tokenizer = tokenizer,
        };
        export = export with { Parameters = new TinyModel(export.Config) };
        Assert.Equal((2u, (uint)mark), Ends(export, "mpt"));
        Assert.Equal((2u, null), Ends(export, "v1"));
        var text = export.Config.Text;
        Assert.Equal((2u, (uint)mark), Ends(export with { Config = export.Config with { Text = text with { EosIds = [2, mark] } } }, "v1"));
        Assert.Equal(((uint)mark, null), Ends(export with { Config = export.Config with { Text = text with { EosIds = [mark] } } }, "mpt"));

        (uint Eos, uint? Eot) Ends(ModelExport from, string template)
        {
            var keys = new GgufFile(GgufExport.Write(_folder["out"], from, GgufType.F32, "x", ConversationTemplates.Get(template)).Model).Metadata;
            return ((uint)keys["tokenizer.ggml.eos_token_id"], (uint?)keys.GetValueOrDefault("tokenizer.ggml.eot_token_id"));
        }
    }

    [Fact]
    public void A_sliding_window_is_the_longest_context()
    {
        ModelExport export = TinyFolders.Export(TinyFolders.Config());
        LlavaConfig config = export.Config;
        export = export with { Config = config with { Text = config.Text with { ModelType = "mistral", SlidingWindow = 64 } } };
        List<string> notes = [];
        var file = new GgufFile(GgufExport.Write(_folder["out"], export, GgufType.F32, "x", null, notes.Add).Model);
        Assert.Equal(64u, file.Metadata["llama.context_length"]);
        Assert.Contains("context_length is the sliding window, 64", Assert.Single(notes));
    }

    [Theory]
    [InlineData(GgufType.F16, 65520f, "f16, which ends at 65504; use --dtype bf16")]
    [InlineData(GgufType.Q8Zero, 1e8f, "q8_0, whose blocks end at 8.3e6; use --dtype bf16")]
    [InlineData(GgufType.BF16, 3.4e38f, "bf16, which ends at 3.39e38; use --dtype f32")]
    public void A_value_that_the_encoding_cannot_hold_is_named(GgufType type, float value, string end)
    {
        LlavaConfig config = TinyFolders.Config();
        config = config with { Text = config.Text with { HiddenSize = 32, IntermediateSize = 32, HeadDim = 16 } };
        var model = new TinyModel(config);
        float[] values = TinyModel.Values("layer.1.mlp.down_proj.weight", 32 * 32);
        values[(32 * 3) + 2] = -value;
        model.Replaced["layer.1.mlp.down_proj.weight"] = values;
        ModelExport export = TinyFolders.Export(config) with { Parameters = model };
        string message = Assert.Throws<UserErrorException>(() => GgufExport.Write(_folder["out"], export, type, "x")).Message;
        Assert.StartsWith("tiny model, layer.1.mlp.down_proj.weight (layer.1.mlp.down_proj.weight) holds -", message);
        Assert.EndsWith($" at [3, 2]: too large for {end}", message);
        values[(32 * 3) + 2] = float.NaN;
        Assert.Contains("holds a value that is not finite: NaN at [3, 2]", Assert.Throws<UserErrorException>(
            () => GgufExport.Write(_folder["out"], export, type, "x")).Message);
    }

    [Fact]
    public void What_llama_cpp_does_not_compute_is_refused_before_anything_is_written()
    {
        LlavaConfig config = TinyFolders.Config();
        Refused(config with { Projector = ProjectorType.Parse("linear") }, "llama.cpp has no projector linear; only mlp2x_gelu");
        Refused(config with { KeepClassToken = true }, "llama.cpp drops the class token's row, and this model keeps it (cls_patch, full)");
        Refused(config with { FeatureLayer = 0 }, "llama.cpp takes no features from before the tower's first layer (feature layer 0)");
        Refused(config with { Vision = null }, "the model has no vision tower; name a CLIP folder with --vision_tower");
        Assert.False(Directory.Exists(_folder["out"]));

        void Refused(LlavaConfig other, string message) => Assert.Equal(message, Assert.Throws<UserErrorException>(
            () => GgufExport.Write(_folder["out"], TinyFolders.Export(other), GgufType.F32, "x")).Message);
    }

    [Fact]
    public void Two_exports_are_the_same_bytes()
    {
        GgufExport.Write(_folder["a"], TinyFolders.Export(TinyFolders.Config()), GgufType.Q8Zero, "x");
        GgufExport.Write(_folder["b"], TinyFolders.Export(TinyFolders.Config()), GgufType.Q8Zero, "x");
        Assert.Equal(TinyFolders.Files(_folder["a"]), TinyFolders.Files(_folder["b"]));
        Assert.Throws<ArgumentException>(() => new GgufMetadata().Add("k", 1).Add("k", true));
        GgufTensor tensor = new("t", GgufType.F32, [1], s => s.Write(new byte[4]));
        Assert.Throws<ArgumentException>(() => GgufWriter.Write(_folder["c"], new(), [tensor, tensor]));
        Assert.Throws<InvalidOperationException>(() => GgufWriter.Write(_folder["c"], new(), [tensor with { WriteTo = s => s.WriteByte(1) }]));
        Assert.False(File.Exists(_folder["c"]));
    }
}
