using System.Text.Json.Nodes;
using LlavaSharp.Imaging;

namespace LlavaSharp.Checkpoints;

/// <summary>config.json of the original LLaVA code: the language model's, and the recipe's fields.</summary>
public static class LlavaLayoutConfig
{
    /// <summary>The name of a tower's folder inside a LLaVA folder, where no published name fits.</summary>
    internal const string TowerFolder = "vision_tower";

    /// <summary>The file's object.</summary>
    /// <param name="config">The model's shape, with a tower.</param>
    /// <param name="fields">What else was known of the model; what is absent takes the recipe's default.</param>
    /// <param name="type">The precision that config.json states: F32, F16 or BF16.</param>
    public static JsonObject ToJson(LlavaConfig config, LlavaFields fields, TensorType type)
    {
        VisionConfig vision = config.Vision ?? throw new ArgumentException("a LLaVA config needs a tower", nameof(config));
        JsonObject json = config.Text.ToJson();
        foreach ((string name, JsonNode? value) in new JsonObject
        {
            ["freeze_mm_mlp_adapter"] = false,
            ["mm_projector_lr"] = null,
            ["mm_vision_tower"] = LlavaTower.PublishedName(vision) ?? TowerFolder,
            ["tokenizer_model_max_length"] = Math.Min(2048, config.Text.MaxPositions),
            ["tokenizer_padding_side"] = "right",
            ["tune_mm_mlp_adapter"] = false,
        })
        {
            json[name] = value?.DeepClone();
        }

        fields.CopyTo(json);
        bool mistral = config.Text.ModelType == "mistral";
        json["architectures"] = new JsonArray(mistral ? "LlavaMistralForCausalLM" : "LlavaLlamaForCausalLM");
        AddImages(json, config);
        json["mm_use_im_patch_token"] = config.ImagePatchToken;
        json["mm_use_im_start_end"] = config.ImageStartEnd;
        json["mm_hidden_size"] = vision.HiddenSize;
        json["mm_projector_type"] = config.Projector.Name;
        json["mm_vision_select_feature"] = config.KeepClassToken ? "cls_patch" : "patch";
        json["mm_vision_select_layer"] = config.FeatureLayer;
        json["model_type"] = mistral ? "llava_mistral" : "llava_llama";
        json["torch_dtype"] = type.ConfigName();
        json["use_cache"] = true;
        json["use_mm_proj"] = true;

        // In order of their names, as transformers writes them: what was read in another order gives the same file.
        return [.. json.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => KeyValuePair.Create(p.Key, p.Value?.DeepClone()))];
    }

    /// <summary>The fields that say how pictures become tokens.</summary>
    internal static void AddImages(JsonObject json, LlavaConfig config)
    {
        json["image_aspect_ratio"] = config.ImageAspectRatio;
        json["mm_patch_merge_type"] = PatchMerges.NameOf(config.PatchMerge);
        if (config.GridPinpoints.Count > 0)
        {
            json["image_grid_pinpoints"] = GridPinpoints.Write(config.GridPinpoints);
        }
    }
}
