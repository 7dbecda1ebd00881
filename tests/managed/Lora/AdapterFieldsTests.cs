using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;
using LlavaSharp.Lora;
using LlavaSharp.Tests.Checkpoints;

namespace LlavaSharp.Tests.Lora;

/// <summary>adapter_config.json: what is understood passes, anything else has to be off.</summary>
public sealed class AdapterFieldsTests : IDisposable
{
    private static readonly LlavaConfig Config = TinyFolders.Config();
    private static readonly AdapterOptions Options = new() { Rank = 2, Alpha = 3 };
    private readonly TempFolder _folder = new();

    public AdapterFieldsTests() => AdapterWriter.Write(_folder["a"], new TinyAdapter(Config, Options).Export());

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("pissa")]
    [InlineData("pissa_niter_16")]
    [InlineData("olora")]
    [InlineData("corda")]
    [InlineData("loftq")]
    [InlineData("lora_ga")]
    [InlineData("next_years_idea")]
    public void An_adapter_of_a_base_that_its_init_changed_is_refused(string init)
    {
        Set("init_lora_weights", init);
        Assert.Equal(
            $"'{_folder["a/adapter_config.json"]}': init_lora_weights = \"{init}\" is not supported; the adapter belongs to a base that its "
            + "initialisation changed; convert it in PEFT (save_pretrained with path_initial_model_for_weight_conversion), which leaves a plain "
            + "LoRA, or merge it there (merge_and_unload)",
            Mistake());
    }

    [Theory]
    [InlineData("true")]
    [InlineData("false")]
    [InlineData("null")]
    [InlineData("\"gaussian\"")]
    [InlineData("\"eva\"")]
    [InlineData("\"orthogonal\"")] // PEFT's orthogonal_init writes A and B only: their first product is zero
    public void Inits_that_leave_the_base_alone_pass(string init)
    {
        Set("init_lora_weights", JsonNode.Parse(init));
        AdapterReader.Open(_folder["a"]).Dispose();
    }

    [Theory]
    [InlineData("layer_replication", "[[0,1],[0,2]]")]
    [InlineData("arrow_config", "{\"top_k\":3}")]
    [InlineData("use_bdlora", "true")]
    [InlineData("megatron_config", "{\"a\":1}")]
    [InlineData("target_parameters", "[\"mlp.experts\"]")]
    [InlineData("trainable_token_indices", "[7]")]
    [InlineData("alora_invocation_tokens", "[1,2]")]
    [InlineData("corda_config", "{\"cache_file\":\"x\"}")]
    [InlineData("use_qalora", "true")]
    [InlineData("fan_in_fan_out", "true")]
    [InlineData("lora_bias", "true")]
    [InlineData("rank_pattern", "{\"q_proj\":4}")]
    [InlineData("alpha_pattern", "{\"q_proj\":4}")]
    [InlineData("ensure_weight_tying", "true")]
    [InlineData("a_field_of_next_year", "\"on\"")]
    [InlineData("another", "0.5")]
    public void A_field_that_is_not_understood_has_to_be_off(string field, string value)
    {
        Set(field, JsonNode.Parse(value));
        Assert.StartsWith($"'{_folder["a/adapter_config.json"]}': {field} = {value} is not supported; ", Mistake(), StringComparison.Ordinal);
        foreach (string off in (string[])["null", "false", "0", "\"\"", "[]", "{}"])
        {
            Set(field, JsonNode.Parse(off));
            AdapterReader.Open(_folder["a"]).Dispose();
        }
    }

    [Theory]
    [InlineData("init_lora_weights")]
    [InlineData("a_field_of_next_year")]
    public void Half_a_surrogate_pair_is_one_line(string field)
    {
        string path = _folder["a/adapter_config.json"];
        Set(field, "mark");
        File.WriteAllText(path, File.ReadAllText(path).Replace("\"mark\"", "[\"\\ud800\"]", StringComparison.Ordinal));
        Assert.Equal($"'{path}': {field} = [\"\\ud800\"] should be valid Unicode", Mistake());
    }

    /// <summary>What PEFT 0.19 writes beside the fields of old, as its defaults are.</summary>
    [Fact]
    public void The_newest_defaults_pass()
    {
        Set("peft_version", "0.19.0");
        Set("runtime_config", JsonNode.Parse("{\"ephemeral_gpu_offload\":false}"));
        Set("qalora_group_size", 16);
        Set("megatron_core", "megatron.core");
        Set("loftq_config", new JsonObject());
        Set("exclude_modules", JsonNode.Parse("[\"vision_tower\"]"));
        Set("layers_to_transform", JsonNode.Parse("[0,1]"));
        Set("layers_pattern", "layers");
        Set("modules_to_save", JsonNode.Parse("[\"mm_projector\"]"));
        AdapterReader.Open(_folder["a"]).Dispose();
    }

    [Fact]
    public void Tensors_that_are_not_of_the_config_are_refused()
    {
        string path = _folder["a/adapter_model.safetensors"];
        const string Module = "base_model.model.model.layers.0.self_attn.q_proj";
        AddTensors(path, (Module + ".lora_magnitude_vector", 8));
        Assert.Equal($"'{path}': tensor '{Module}.lora_magnitude_vector' is DoRA's, but use_dora is false in adapter_config.json: one of the two "
            + "files is another adapter's", Mistake());
        AdapterWriter.Write(_folder["a"], new TinyAdapter(Config, Options).Export());
        AddTensors(path, ("base_model.model.model.layers.0.self_attn.rotary_emb.inv_freq", 2));
        AdapterReader.Open(_folder["a"]).Dispose();
        AddTensors(path, ("base_model.model.model.layers.0.self_attn.q_proj.lora_embedding_A", 2));
        Assert.Contains("lora_embedding_A' is of no parameter that a LLaVA model has", Mistake(), StringComparison.Ordinal);
    }

    // PEFT adapts a convolution by A [r, in, k, k], an embedding by lora_embedding_A; the engine has neither.
    [Theory]
    [InlineData("model.vision_tower.vision_tower.vision_model.embeddings.patch_embedding", "vision.embeddings.patch_embedding")]
    [InlineData("model.vision_tower.vision_tower.vision_model.embeddings.position_embedding", "vision.embeddings.position_embedding")]
    [InlineData("model.embed_tokens", "embed")]
    [InlineData("model.norm", "head.norm")]
    [InlineData("model.layers.0.input_layernorm", "layer.0.input_layernorm")]
    public void What_is_no_linear_has_no_adapter(string module, string name)
    {
        string path = _folder["a/adapter_model.safetensors"];
        AddTensors(path, ($"base_model.model.{module}.lora_A.weight", 2), ($"base_model.model.{module}.lora_B.weight", 2));
        using var adapter = AdapterReader.Open(_folder["a"]);
        Assert.Equal(
            $"'{path}': tensor 'base_model.model.{module}.lora_A.weight' adapts {name}, which is no linear; only linears are adapted "
            + "here: merge the adapter with PEFT (merge_and_unload) and use the merged model",
            Assert.Throws<UserErrorException>(() => new MergedSource(new TinyModel(Config), Config, adapter)).Message);
    }

    [Theory]
    [InlineData("base_model.model.lm_head.modules_to_save.default.weight")]
    [InlineData("base_model.model.lm_head.modules_to_save.weight")]
    [InlineData("base_model.model.lm_head.weight")]
    public void A_module_that_was_saved_whole_replaces_the_base(string key)
    {
        AddTensors(_folder["a/adapter_model.safetensors"], (key, 4));
        using var adapter = AdapterReader.Open(_folder["a"]);
        Assert.Contains("head.weight", adapter.Replaced);
    }

    [Fact]
    public void Half_a_product_is_refused()
    {
        string path = _folder["a/adapter_model.safetensors"];
        const string Module = "base_model.model.model.layers.0.self_attn.q_proj";
        Rewrite(path, name => name != Module + ".lora_A.weight", []);
        Assert.Equal($"'{path}': tensor '{Module}.lora_B.weight' has no layer.0.self_attn.q_proj.lora_A.weight beside it", Mistake());
    }

    // bias "all" keeps the biases of adapted modules under base_layer.
    [Fact]
    public void A_bias_under_base_layer_is_the_modules_own()
    {
        Set("bias", "all");
        AddTensors(
            _folder["a/adapter_model.safetensors"],
            ("base_model.model.model.vision_tower.vision_tower.vision_model.encoder.layers.0.mlp.fc1.base_layer.bias", 12));
        using var adapter = AdapterReader.Open(_folder["a"]);
        Assert.Contains("vision.encoder.layers.0.mlp.fc1.bias", adapter.Replaced);
    }

    private string Mistake() => Assert.Throws<UserErrorException>(() => AdapterReader.Open(_folder["a"])).Message;

    private void Set(string field, JsonNode? value)
    {
        string path = _folder["a/adapter_config.json"];
        JsonNode json = JsonNode.Parse(File.ReadAllText(path))!;
        json[field] = value;
        File.WriteAllText(
            path, json.ToJsonString(new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }));
    }

    private static void AddTensors(string path, params (string Name, int Count)[] more) => Rewrite(path, _ => true, more);

    private static void Rewrite(string path, Func<string, bool> keep, IEnumerable<(string Name, int Count)> more)
    {
        using (var file = SafetensorsFile.Open(path))
        {
            SafetensorsWriter.Write(path + ".new", [
                .. file.Entries.Where(e => keep(e.Name)).Select(e => TensorSource.FromFloats(e.Name, e.Shape, file.Floats(e.Name))),
                .. more.Select(m => TensorSource.FromFloats(m.Name, [m.Count], new float[m.Count])),
            ]);
        }

        File.Move(path + ".new", path, overwrite: true);
    }
}
