using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tests.Checkpoints;

public sealed class ConfigTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Reads_transformers_4_where_fields_absent_have_the_class_default()
    {
        // The shape of llava-hf/llava-1.5-7b-hf's config.json.
        LlavaConfig config = Llava("""
            {"architectures":["LlavaForConditionalGeneration"],"ignore_index":-100,"image_token_index":32000,"model_type":"llava","pad_token_id":32001,
             "projector_hidden_act":"gelu","text_config":{"_name_or_path":"lmsys/vicuna-7b-v1.5","max_position_embeddings":4096,"model_type":"llama",
             "rms_norm_eps":1e-05,"torch_dtype":"float16","vocab_size":32064},"tie_word_embeddings":false,"torch_dtype":"float16","vision_config":{"hidden_size":1024,
             "image_size":336,"intermediate_size":4096,"model_type":"clip_vision_model","num_attention_heads":16,"num_hidden_layers":24,"patch_size":14,
             "projection_dim":768,"vocab_size":32000},"vision_feature_layer":-2,"vision_feature_select_strategy":"default","vocab_size":32064}
            """);
        Assert.Equal(VisionConfig.ClipLarge336, config.Vision);
        Assert.Equal(
            new TextConfig { MaxPositions = 4096, RmsNormEpsilon = 1e-5, VocabularySize = 32064, EosIds = config.Text.EosIds },
            config.Text);
        Assert.Equal([2], config.Text.EosIds);
        Assert.Equal((23, -2, false, 32000, 32001, "square", 576), (config.ResolvedFeatureLayer, config.FeatureLayer,
            config.KeepClassToken, config.ImageTokenIndex, config.PadTokenId, config.ImageAspectRatio, config.ImageRowCount));
        Assert.Equal("mlp2x_gelu", config.Projector.Name);
    }

    [Fact]
    public void Reads_transformers_5()
    {
        LlavaConfig config = Llava("""
            {"model_type":"llava","dtype":"bfloat16","image_token_id":798,"pad_token_id":799,"vision_feature_layer":-1,"vision_feature_select_strategy":"full","image_aspect_ratio":"pad",
             "text_config":{"model_type":"llama","hidden_size":64,"head_dim":12,"num_attention_heads":8,"num_key_value_heads":2,"num_hidden_layers":3,"vocab_size":800,
              "rope_parameters":{"rope_theta":500000.0,"rope_type":"default"},"eos_token_id":[2,5]},
             "vision_config":{"model_type":"clip_vision_model","hidden_size":48,"num_attention_heads":4,"image_size":56,"patch_size":14,"num_hidden_layers":3,"hidden_act":"gelu"}}
            """);
        Assert.Equal(
            (500000.0, 12, 2, 2, 5),
            (config.Text.RopeTheta, config.Text.HeadDim, config.Text.KeyValueHeadCount, config.EosId, config.Text.EosIds[1]));
        Assert.Equal(
            (3, true, 798, "pad", 17),
            (config.ResolvedFeatureLayer, config.KeepClassToken, config.ImageTokenIndex, config.ImageAspectRatio, config.ImageRowCount));
        Assert.Equal("gelu", config.Vision!.Activation);
    }

    [Fact]
    public void An_empty_llava_config_is_llava_1_5_in_class_defaults()
    {
        LlavaConfig config = Llava("""{"model_type":"llava"}""");
        Assert.Equal(VisionConfig.ClipLarge336, config.Vision);
        Assert.Equal((32000 - 1, 1e-6, 2048), (config.Text.VocabularySize - 1, config.Text.RmsNormEpsilon, config.Text.MaxPositions));
    }

    [Fact]
    public void Mistral_has_its_own_defaults()
    {
        _folder.Write("config.json", """{"model_type":"mistral","hidden_size":64,"num_attention_heads":16,"sliding_window":null}""");
        TextConfig text = TextConfig.Load(_folder.Path);
        Assert.Equal((8, 14336, 131072, null), (text.KeyValueHeadCount, text.IntermediateSize, text.MaxPositions, text.SlidingWindow));
        _folder.Write("config.json", """{"model_type":"mistral"}""");
        Assert.Equal(4096, TextConfig.Load(_folder.Path).SlidingWindow);
        _folder.Write("config.json", """{"model_type":"llama","sliding_window":8,"num_attention_heads":16,"num_key_value_heads":null}""");
        Assert.Null(TextConfig.Load(_folder.Path).SlidingWindow);
        Assert.Equal(16, TextConfig.Load(_folder.Path).KeyValueHeadCount);
    }

    [Fact]
    public void A_sliding_window_is_refused_only_where_it_would_matter()
    {
        // Mistral-7B-v0.1, the recipe's model: window 4096, context 32768, samples of 2048.
        LlavaConfig config = TinyModel.Config() with { Text = new TextConfig { ModelType = "mistral", SlidingWindow = 4096, MaxPositions = 32768 } };
        config.CheckContext(2048);
        config.CheckContext(4096);
        Assert.Equal("sliding_window = 4096 is not supported for samples of up to 4097 tokens; use --model_max_length 4096 or less",
            Assert.Throws<UserErrorException>(() => config.CheckContext(4097)).Message);
        (config with { Text = config.Text with { SlidingWindow = null } }).CheckContext(32768);
        (config with { Text = config.Text with { SlidingWindow = 32768 } }).CheckContext(100000);
    }

    [Theory]
    [InlineData("""{"rope_scaling":{"type":"linear","factor":2.0}}""", "text_config.rope_scaling.type = \"linear\" is not supported; only 'default' is")]
    [InlineData("""{"rope_scaling":{"rope_type":"llama3"}}""", "text_config.rope_scaling.rope_type = \"llama3\" is not supported; only 'default' is")]
    [InlineData("""{"rope_parameters":{"rope_type":"yarn","rope_theta":1}}""", "text_config.rope_parameters.rope_type = \"yarn\" is not supported; only 'default' is")]
    [InlineData("""{"rope_parameters":{"rope_type":"default","partial_rotary_factor":0.5}}""", "text_config.rope_parameters.partial_rotary_factor = 0.5 is not supported; only 1 is")]
    [InlineData("""{"partial_rotary_factor":0.5}""", "text_config.partial_rotary_factor = 0.5 is not supported; only 1 is")]
    [InlineData("""{"rope_theta":0}""", "text_config.rope_theta = 0 should be above 0")]
    [InlineData("""{"attention_bias":true}""", "text_config.attention_bias = true is not supported; only false is")]
    [InlineData("""{"mlp_bias":true}""", "text_config.mlp_bias = true is not supported; only false is")]
    [InlineData("""{"tie_word_embeddings":true}""", "text_config.tie_word_embeddings = true is not supported; only false is")]
    [InlineData("""{"hidden_act":"gelu"}""", "text_config.hidden_act = \"gelu\" is not supported; only 'silu' is")]
    [InlineData("""{"attention_dropout":0.1}""", "text_config.attention_dropout = 0.1 is not supported; only 0 is")]
    [InlineData("""{"quantization_config":{"bits":4}}""", "text_config.quantization_config = {\"bits\":4} is not supported; only float32, float16 and bfloat16 weights are")]
    [InlineData("""{"model_type":"qwen2"}""", "text_config.model_type = \"qwen2\" is not supported; 'llama' and 'mistral' are")]
    [InlineData("""{"num_key_value_heads":5}""", "text_config.num_key_value_heads = 5 should be a divisor of num_attention_heads = 32")]
    [InlineData("""{"num_attention_heads":3}""", "text_config.num_attention_heads = 3 should be a divisor of hidden_size = 4096, or head_dim be given")]
    [InlineData("""{"head_dim":7}""", "a head size of 7 (head_dim, or hidden_size = 4096 / num_attention_heads = 32) is not supported; rotary embeddings need an even one")]
    [InlineData("""{"hidden_size":"big"}""", "text_config.hidden_size = \"big\" should be a whole number of at least 1")]
    [InlineData("""{"hidden_size":0}""", "text_config.hidden_size = 0 should be a whole number of at least 1")]
    [InlineData("""{"rms_norm_eps":"x"}""", "text_config.rms_norm_eps = \"x\" should be a number")]
    [InlineData("""{"attention_bias":1}""", "text_config.attention_bias = 1 should be true or false")]
    [InlineData("""{"hidden_act":1}""", "text_config.hidden_act = 1 should be a string")]
    [InlineData("""{"eos_token_id":["x"]}""", "text_config.eos_token_id = [\"x\"] should be a whole number or a list of them")]
    public void A_text_field_that_is_not_implemented_is_refused_by_name_and_value(string text, string message) =>
        Refused($$"""{"model_type":"llava","text_config":{{text}}}""", message);

    [Theory]
    [InlineData("""{"hidden_act":"gelu_new"}""", "vision_config.hidden_act = \"gelu_new\" is not supported; 'quick_gelu' and 'gelu' are")]
    [InlineData("""{"model_type":"siglip_vision_model"}""", "vision_config.model_type = \"siglip_vision_model\" is not supported; only 'clip_vision_model' is")]
    [InlineData("""{"num_channels":1}""", "vision_config.num_channels = 1 is not supported; images have 3")]
    [InlineData("""{"attention_dropout":0.5}""", "vision_config.attention_dropout = 0.5 is not supported; only 0 is")]
    [InlineData("""{"num_attention_heads":5}""", "vision_config.num_attention_heads = 5 should be a divisor of hidden_size = 768")]
    [InlineData("""{"patch_size":14,"image_size":225}""", "vision_config.image_size = 225 is not supported; a multiple of patch_size = 14 is")]
    [InlineData("""{"image_size":99999}""", "vision_config.image_size = 99999 should be a whole number from 1 to 16384")]
    public void A_vision_field_that_is_not_implemented_is_refused_by_name_and_value(string vision, string message) =>
        Refused($$"""{"model_type":"llava","vision_config":{{vision}}}""", message);

    [Theory]
    [InlineData("""{"model_type":"llava","projector_hidden_act":"relu"}""", "projector_hidden_act = \"relu\" is not supported; only 'gelu' is")]
    [InlineData("""{"model_type":"llava","multimodal_projector_bias":false}""", "multimodal_projector_bias = false is not supported; only true is")]
    [InlineData("""{"model_type":"llava","tie_word_embeddings":true}""", "tie_word_embeddings = true is not supported; only false is")]
    [InlineData("""{"model_type":"llava","vision_feature_layer":[-2,-5]}""", "vision_feature_layer = [-2,-5] is not supported; a single layer is")]
    [InlineData("""{"model_type":"llava","vision_feature_layer":[-2]}""", "vision_feature_layer = [-2] is not supported; a single layer is")]
    [InlineData("""{"model_type":"llava","vision_feature_select_strategy":"cls"}""", "vision_feature_select_strategy = \"cls\" is not supported; 'default' and 'full' are")]
    [InlineData("""{"model_type":"llava","image_aspect_ratio":"best"}""", "image_aspect_ratio = \"best\" is not supported; 'square', 'pad' and 'anyres' are")]
    [InlineData("""{"model_type":"llava","image_token_index":32000}""", "image_token_index = 32000 is outside the vocabulary, whose vocab_size is 32000")]
    [InlineData("""{"model_type":"llava_llama"}""", "mm_vision_tower = (absent) should be the name or folder of a CLIP model")]
    [InlineData("""{"model_type":"llama"}""", "model_type = \"llama\" is not supported; 'llava' is; for a language model alone, name a CLIP folder with --vision_tower")]
    [InlineData("""{}""", "model_type = (absent) is not supported; 'llava' is; for a language model alone, name a CLIP folder with --vision_tower")]
    public void A_llava_field_that_is_not_implemented_is_refused_by_name_and_value(string json, string message) => Refused(json, message);

    [Theory]
    [InlineData(-27)]
    [InlineData(25)]
    public void A_feature_layer_outside_the_tower_is_refused(int layer)
    {
        _folder.Write("config.json", $$$"""{"model_type":"llava","vision_feature_layer":{{{layer}}},"text_config":{"vocab_size":32064}}""");
        Assert.Equal($"'{_folder["config.json"]}': vision_feature_layer = {layer} is outside the tower, which has 24 layers; use -25 to 24",
            Assert.Throws<UserErrorException>(() => LlavaConfig.Load(_folder.Path)).Message);
    }

    [Theory]
    [InlineData("{\"model_type\":\"llava\"", "is not valid JSON: ")]
    [InlineData("", "is empty; copy or download it again")]
    [InlineData("[1]", "is not a JSON object")]
    [InlineData("{\"a\":1,\"a\":2}", "is not valid JSON: ")]
    [InlineData("{\"model_type\":\"\\ud800\"}", "model_type = \"\\ud800\" should be a string")]
    public void A_malformed_config_is_one_line(string json, string part)
    {
        _folder.Write("config.json", json);
        UserErrorException e = Assert.Throws<UserErrorException>(() => LlavaConfig.Load(_folder.Path));
        Assert.Contains(part, e.Message);
        Assert.DoesNotContain('\n', e.Message);
    }

    [Fact]
    public void A_missing_config_is_named() => Assert.Equal($"'{_folder["config.json"]}' does not exist",
        Assert.Throws<UserErrorException>(() => LlavaConfig.Load(_folder.Path)).Message);

    [Theory]
    [InlineData("""{"model_type":"clip","vision_config":{"hidden_size":48,"num_attention_heads":4},"text_config":{"hidden_size":9}}""")]
    [InlineData("""{"model_type":"clip_vision_model","hidden_size":48,"num_attention_heads":4}""")]
    public void Combines_a_language_model_and_a_clip(string clip)
    {
        Directory.CreateDirectory(_folder["lm"]);
        Directory.CreateDirectory(_folder["clip"]);
        _folder.Write("lm/config.json", """{"model_type":"llama","hidden_size":64,"num_attention_heads":4,"pad_token_id":0}""");
        _folder.Write("clip/config.json", clip);
        LlavaConfig config = LlavaConfig.Combine(_folder["lm"], _folder["clip"], ProjectorType.Parse("linear"), -1, true, "pad");
        Assert.Equal((48, 64, "linear", -1, true, "pad", null, 0), (config.Vision!.HiddenSize, config.Text.HiddenSize, config.Projector.Name,
            config.FeatureLayer, config.KeepClassToken, config.ImageAspectRatio, config.ImageTokenIndex, config.PadTokenId));
        Assert.Null(LlavaConfig.Combine(_folder["lm"], null).Vision);
        Assert.Equal("an identity projector needs equal widths: the tower has 48, the language model 64; use mlp2x_gelu",
            Assert.Throws<UserErrorException>(() => LlavaConfig.Combine(_folder["lm"], _folder["clip"], ProjectorType.Parse("identity"))).Message);
        Assert.Equal("mm_vision_select_layer = 13 is outside the tower, which has 12 layers; use -13 to 12",
            Assert.Throws<UserErrorException>(() => LlavaConfig.Combine(_folder["lm"], _folder["clip"], null, 13)).Message);
        Assert.Equal($"'{_folder["lm/config.json"]}': model_type = \"llama\" is not supported; a CLIP folder has 'clip' or 'clip_vision_model'",
            Assert.Throws<UserErrorException>(() => LlavaConfig.Combine(_folder["lm"], _folder["lm"])).Message);
    }

    [Theory]
    [InlineData("linear", 1)]
    [InlineData("identity", 0)]
    [InlineData("mlp1x_gelu", 1)]
    [InlineData("mlp16x_gelu", 16)]
    public void Knows_the_recipes_projectors(string name, int depth) => Assert.Equal(depth, ProjectorType.Parse(name).Depth);

    [Theory]
    [InlineData("mlp0x_gelu")]
    [InlineData("mlp17x_gelu")]
    [InlineData("mlp2x_relu")]
    [InlineData("mlp2x_gelu\n")]
    [InlineData("")]
    public void Refuses_other_projectors(string name) => Assert.StartsWith("unknown projector type '",
        Assert.Throws<UserErrorException>(() => ProjectorType.Parse(name)).Message);

    private LlavaConfig Llava(string json)
    {
        if (!json.Contains("vocab_size"))
        {
            json = json.Replace("\"llava\"", "\"llava\",\"text_config\":{},\"image_token_index\":1");
        }

        _folder.Write("config.json", json);
        return LlavaConfig.Load(_folder.Path);
    }

    private void Refused(string json, string message)
    {
        _folder.Write("config.json", json);
        UserErrorException e = Assert.Throws<UserErrorException>(() => LlavaConfig.Load(_folder.Path));
        Assert.Equal(message, e.Message.Replace($"'{_folder["config.json"]}': ", ""));
    }
}
