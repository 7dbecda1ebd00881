using System.Text.Json.Nodes;

namespace LlavaSharp.Checkpoints;

/// <summary>Shape of a LLaMA or Mistral decoder, from <c>config.json</c>. A field that is absent has the default of
/// transformers' <c>LlamaConfig</c> or <c>MistralConfig</c>; one that changes the arithmetic and is not implemented
/// is refused.</summary>
public sealed record TextConfig
{
    /// <summary><c>llama</c> (also Vicuna) or <c>mistral</c>.</summary>
    public string ModelType { get; init; } = "llama";

    /// <summary>Rows V of the embedding and of the head.</summary>
    public int VocabularySize { get; init; } = 32000;

    /// <summary>Width D.</summary>
    public int HiddenSize { get; init; } = 4096;

    /// <summary>Width of the SwiGLU MLP.</summary>
    public int IntermediateSize { get; init; } = 11008;

    /// <summary>Decoder layers.</summary>
    public int LayerCount { get; init; } = 32;

    /// <summary>Query heads.</summary>
    public int HeadCount { get; init; } = 32;

    /// <summary>Key and value heads; divides <see cref="HeadCount"/>.</summary>
    public int KeyValueHeadCount { get; init; } = 32;

    /// <summary>Width of a head; even, and not always D / heads.</summary>
    public int HeadDim { get; init; } = 128;

    /// <summary>Longest context the checkpoint was made for, in tokens.</summary>
    public int MaxPositions { get; init; } = 2048;

    /// <summary>Epsilon of the RMSNorms.</summary>
    public double RmsNormEpsilon { get; init; } = 1e-6;

    /// <summary>Base of the rotary embedding.</summary>
    public double RopeTheta { get; init; } = 10000;

    /// <summary>Mistral's attention window in tokens, or null. Runs only where it has no effect: see
    /// <see cref="LlavaConfig.CheckContext"/>.</summary>
    public int? SlidingWindow { get; init; }

    /// <summary><see cref="SlidingWindow"/>, where a sequence can be longer than it; else null: the window then changes nothing.</summary>
    public int? WindowInUse => SlidingWindow < MaxPositions ? SlidingWindow : null;

    /// <summary>Id of <c>&lt;s&gt;</c>.</summary>
    public int BosId { get; init; } = 1;

    /// <summary>Ids that end an answer; the first is <c>&lt;/s&gt;</c>.</summary>
    public IReadOnlyList<int> EosIds { get; init; } = [2];

    /// <summary>Id of the padding token, if the config names one.</summary>
    public int? PadId { get; init; }

    /// <summary>Reads a language model's folder.</summary>
    /// <exception cref="UserErrorException">The file is missing or malformed, or asks for what is not implemented.</exception>
    public static TextConfig Load(string folder) => Read(ConfigJson.Load(Path.Combine(folder, "config.json")), null);

    /// <summary>Reads the fields of one object; <paramref name="modelType"/> is what an absent model_type means.</summary>
    internal static TextConfig Read(ConfigJson json, string? modelType)
    {
        string? type = json.String("model_type") ?? modelType;
        return type is "llama" or "mistral" ? ReadAs(json, type) : throw json.Unsupported("model_type", "'llama' and 'mistral' are");
    }

    /// <summary>Reads the fields of one object as those of a <c>llama</c> or a <c>mistral</c>, whatever it says it is.</summary>
    internal static TextConfig ReadAs(ConfigJson json, string type)
    {
        TextConfig d = type == "llama"
            ? new()
            : new() { ModelType = type, IntermediateSize = 14336, MaxPositions = 131072, SlidingWindow = 4096 };
        int hidden = json.Int("hidden_size", 1) ?? d.HiddenSize;
        int heads = json.Int("num_attention_heads", 1) ?? d.HeadCount;
        TextConfig config = d with
        {
            VocabularySize = json.Int("vocab_size", 1) ?? d.VocabularySize,
            HiddenSize = hidden,
            IntermediateSize = json.Int("intermediate_size", 1) ?? d.IntermediateSize,
            LayerCount = json.Int("num_hidden_layers", 1) ?? d.LayerCount,
            HeadCount = heads,

            // LlamaConfig: absent or null means as many as query heads. MistralConfig: absent means 8.
            KeyValueHeadCount = json.Int("num_key_value_heads", 1)
                ?? (type == "mistral" && !json.Fields.Contains("num_key_value_heads") ? 8 : heads),
            HeadDim = json.Int("head_dim", 1) ?? hidden / heads,
            MaxPositions = json.Int("max_position_embeddings", 1) ?? d.MaxPositions,
            RmsNormEpsilon = json.Positive("rms_norm_eps") ?? d.RmsNormEpsilon,
            RopeTheta = ReadRope(json) ?? d.RopeTheta,
            SlidingWindow = type == "mistral"
                ? json.Fields.Contains("sliding_window") ? json.Int("sliding_window", 1) : d.SlidingWindow
                : null,
            BosId = json.Int("bos_token_id", 0) ?? d.BosId,
            EosIds = json.Ints("eos_token_id") ?? d.EosIds,
            PadId = json.Int("pad_token_id"),
        };
        config.Check(json);
        int[] ends = StopTokens.Known(config.EosIds, config.VocabularySize);
        config = config with { EosIds = ends.Length > 0 ? ends : d.EosIds };

        // LLaMA's first configs say -1 for "none".
        return config with { PadId = config.PadId >= 0 && config.PadId < config.VocabularySize ? config.PadId : null };
    }

    /// <summary>The object <c>text_config</c> of a LLaVA folder, or a language model's config, readable by
    /// transformers 4 (<c>rope_theta</c>) and 5 (which converts it).</summary>
    internal JsonObject ToJson()
    {
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray(ModelType == "llama" ? "LlamaForCausalLM" : "MistralForCausalLM"),
            ["attention_dropout"] = 0.0,
            ["bos_token_id"] = BosId,
            ["eos_token_id"] = EosIds.Count == 1
                ? JsonValue.Create(EosIds[0])
                : new JsonArray([.. EosIds.Select(id => (JsonNode?)JsonValue.Create(id))]),
            ["head_dim"] = HeadDim,
            ["hidden_act"] = "silu",
            ["hidden_size"] = HiddenSize,
            ["intermediate_size"] = IntermediateSize,
            ["max_position_embeddings"] = MaxPositions,
            ["model_type"] = ModelType,
            ["num_attention_heads"] = HeadCount,
            ["num_hidden_layers"] = LayerCount,
            ["num_key_value_heads"] = KeyValueHeadCount,
            ["pad_token_id"] = PadId,
            ["rms_norm_eps"] = RmsNormEpsilon,
            ["rope_theta"] = RopeTheta,
            ["tie_word_embeddings"] = false,
            ["vocab_size"] = VocabularySize,
        };
        if (ModelType == "mistral")
        {
            json["sliding_window"] = SlidingWindow;
        }
        else
        {
            json["attention_bias"] = false;
            json["mlp_bias"] = false;
        }

        return json;
    }

    /// <summary>The rotary base, in transformers 4's spelling (rope_theta, rope_scaling) or 5's (rope_parameters).</summary>
    private static double? ReadRope(ConfigJson json)
    {
        foreach (string field in (string[])["rope_scaling", "rope_parameters"])
        {
            ConfigJson? rope = json.Object(field);
            if (rope is null)
            {
                continue;
            }

            foreach (string key in (string[])["rope_type", "type"])
            {
                if ((rope.String(key) ?? "default") != "default")
                {
                    throw rope.Unsupported(key, "only 'default' is");
                }
            }

            CheckOne(rope, "partial_rotary_factor");
            CheckOne(rope, "factor");
        }

        CheckOne(json, "partial_rotary_factor");
        return json.Object("rope_parameters")?.Positive("rope_theta") ?? json.Positive("rope_theta");
    }

    private static void CheckOne(ConfigJson json, string field)
    {
        if ((json.Double(field) ?? 1) != 1)
        {
            throw json.Unsupported(field, "only 1 is");
        }
    }

    private void Check(ConfigJson json)
    {
        foreach (string field in (string[])["attention_bias", "mlp_bias", "tie_word_embeddings"])
        {
            if (json.Bool(field) ?? false)
            {
                throw json.Unsupported(field, "only false is");
            }
        }

        if ((json.String("hidden_act") ?? "silu") != "silu")
        {
            throw json.Unsupported("hidden_act", "only 'silu' is");
        }

        if ((json.Double("attention_dropout") ?? 0) != 0)
        {
            throw json.Unsupported("attention_dropout", "only 0 is");
        }

        if (json.Has("quantization_config"))
        {
            throw json.Unsupported("quantization_config", "only float32, float16 and bfloat16 weights are");
        }

        if (HeadCount % KeyValueHeadCount != 0)
        {
            throw json.Wrong("num_key_value_heads", $"a divisor of num_attention_heads = {HeadCount}");
        }

        if (!json.Has("head_dim") && HiddenSize % HeadCount != 0)
        {
            throw json.Wrong("num_attention_heads", $"a divisor of hidden_size = {HiddenSize}, or head_dim be given");
        }

        if (HeadDim % 2 != 0)
        {
            throw new UserErrorException($"'{json.Path}': a head size of {HeadDim} (head_dim, or hidden_size = {HiddenSize} / "
                + $"num_attention_heads = {HeadCount}) is not supported; rotary embeddings need an even one");
        }
    }
}
