using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Lora;

/// <summary><c>adapter_config.json</c>, as PEFT writes and reads it.</summary>
/// <param name="Options">Rank, scale, dropout, biases.</param>
/// <param name="BaseModel">The model that the adapter belongs to, as it was named; null when the file does not say.</param>
/// <param name="TargetModules">Last parts of the adapted modules' names; empty when the file has a pattern instead.</param>
public sealed record AdapterConfig(AdapterOptions Options, string? BaseModel, IReadOnlyList<string> TargetModules)
{
    /// <summary>The file's name.</summary>
    public const string FileName = "adapter_config.json";

    /// <summary>Reads the file from an adapter's folder.</summary>
    /// <exception cref="UserErrorException">It is missing or malformed, is not of a LoRA, or asks for what is not implemented
    /// and would change the arithmetic.</exception>
    public static AdapterConfig Load(string folder)
    {
        ConfigJson json = ConfigJson.Load(Path.Combine(folder, FileName));
        AdapterFields.Check(json);
        var options = new AdapterOptions
        {
            Rank = json.Int("r", 1) ?? 8,
            Alpha = json.Double("lora_alpha") ?? 8,
            Dropout = json.Double("lora_dropout") ?? 0,
            Bias = json.String("bias") switch
            {
                null or "none" => LoraBias.None,
                "all" => LoraBias.All,
                "lora_only" => LoraBias.LoraOnly,
                _ => throw json.Wrong("bias", "none, all or lora_only"),
            },
            RankStabilized = json.Bool("use_rslora") ?? false,
            Dora = json.Bool("use_dora") ?? false,
        };
        return new(options, json.String("base_model_name_or_path"), json.IsArray("target_modules") ? json.Texts("target_modules") : []);
    }

    /// <summary>The file's text. Values that PEFT has but that we never set are its defaults.</summary>
    public string ToJson() => new JsonObject
    {
        ["alpha_pattern"] = new JsonObject(),
        ["auto_mapping"] = null,
        ["base_model_name_or_path"] = BaseModel,
        ["bias"] = Options.Bias switch { LoraBias.All => "all", LoraBias.LoraOnly => "lora_only", _ => "none" },
        ["fan_in_fan_out"] = false,
        ["inference_mode"] = true,
        ["init_lora_weights"] = true,
        ["layers_pattern"] = null,
        ["layers_to_transform"] = null,
        ["lora_alpha"] = Options.Alpha == Math.Truncate(Options.Alpha)
            ? JsonValue.Create((long)Options.Alpha) : JsonValue.Create(Options.Alpha),
        ["lora_dropout"] = Options.Dropout,
        ["modules_to_save"] = null,
        ["peft_type"] = "LORA",
        ["r"] = Options.Rank,
        ["rank_pattern"] = new JsonObject(),
        ["revision"] = null,
        ["target_modules"] = new JsonArray([.. TargetModules.Select(m => (JsonNode?)JsonValue.Create(m))]),
        ["task_type"] = "CAUSAL_LM",
        ["use_dora"] = Options.Dora,
        ["use_rslora"] = Options.RankStabilized,
    }.ToJsonString(ConfigJson.WriteOptions) + "\n";
}
