using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Lora;

/// <summary>Judges the fields of an <c>adapter_config.json</c>: a list of those that are understood. Any other field, whatever PEFT will
/// call it, has to be off (null, false, 0, an empty text, list or object), because it may change what the stored matrices mean.</summary>
internal static class AdapterFields
{
    // What PEFT's field says is in the tensors' names and shapes, or is no arithmetic of a merged or computed adapter.
    private static readonly HashSet<string> Understood =
    [
        "peft_type", "task_type", "base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "peft_version", "r",
        "lora_alpha", "lora_dropout", "bias", "use_rslora", "use_dora", "target_modules", "exclude_modules", "layers_to_transform",
        "layers_pattern",
        "modules_to_save", "init_lora_weights",

        // Settings of a feature that another field switches on, and how DoRA is computed while training.
        "runtime_config", "megatron_core", "qalora_group_size", "eva_config", "loftq_config", "lora_ga_config",
    ];

    // Inits that draw the adapter and leave the base's weights as they are.
    private static readonly string[] PlainInits = ["gaussian", "eva", "orthogonal", "true", "false"];

    /// <summary>Checks every field.</summary>
    /// <exception cref="UserErrorException">One asks for what is not computed; the line names field, value and remedy.</exception>
    internal static void Check(ConfigJson json)
    {
        if (json.String("peft_type") is not "LORA")
        {
            throw json.Unsupported("peft_type", "only 'LORA' is");
        }

        foreach (string field in json.Fields)
        {
            if (!Understood.Contains(field) && !IsOff(json.Node(field)))
            {
                throw json.Unsupported(field, "it changes what the adapter's matrices mean, or may; merge the adapter with PEFT "
                    + "(merge_and_unload) and use the merged model");
            }
        }

        // With the others the adapter belongs to a base from which its first product was taken: not the model that was downloaded.
        if (json.Node("init_lora_weights") is { } init && !IsPlain(init))
        {
            throw json.Unsupported("init_lora_weights", "the adapter belongs to a base that its initialisation changed; convert it in PEFT "
                + "(save_pretrained with path_initial_model_for_weight_conversion), which leaves a plain LoRA, or merge it there "
                + "(merge_and_unload)");
        }
    }

    private static bool IsPlain(JsonNode init) => init is JsonValue value && (value.TryGetValue(out bool _)
        || (value.TryGetValue(out string? text) && PlainInits.Contains(text, StringComparer.OrdinalIgnoreCase)));

    private static bool IsOff(JsonNode? node) => node switch
    {
        null => true,
        JsonArray list => list.Count == 0,
        JsonObject map => map.Count == 0,
        JsonValue value when value.TryGetValue(out bool set) => !set,
        JsonValue value when value.TryGetValue(out string? text) => text.Length == 0,
        JsonValue value when value.TryGetValue(out double number) => number == 0,
        _ => false,
    };
}
