using System.Text.Json.Nodes;

namespace LlavaSharp.Training;

/// <summary>What stage 1 leaves beside the projector, as the original LLaVA code does.</summary>
internal static class StageOneFiles
{
    /// <summary>
    /// Where the projector goes: into the output folder, or, when that is called checkpoint-N, to mm_projector/checkpoint-N.bin
    /// beside it, as the recipe has it.
    /// </summary>
    public static string ProjectorPath(string output)
    {
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(output));
        var name = Path.GetFileName(full);
        return name.StartsWith("checkpoint-", StringComparison.Ordinal)
            ? Path.Combine(Path.GetDirectoryName(full)!, "mm_projector", $"{name}.bin")
            : Path.Combine(full, Checkpoints.MmProjectorFile.FileName);
    }

    /// <summary>The language model's config.json with the keys that a later inference run reads.</summary>
    public static string ConfigJson(TrainSetup setup)
    {
        var options = setup.Options;
        var file = Path.Combine(options.ModelNameOrPath!, "config.json");
        var json = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        var text = setup.Config.Text;
        if (json["model_type"]?.GetValue<string>() is "llama" or "mistral")
        {
            json["model_type"] = $"llava_{text.ModelType}";
            json["architectures"] = new JsonArray(text.ModelType == "mistral" ? "LlavaMistralForCausalLM" : "LlavaLlamaForCausalLM");
        }

        json["use_cache"] = true;
        json["use_mm_proj"] = true;
        json["mm_vision_tower"] = options.VisionTower ?? options.ModelNameOrPath;
        json["mm_projector_type"] = setup.Config.Projector.Name;
        json["mm_hidden_size"] = setup.Config.Vision!.HiddenSize;
        json["mm_vision_select_layer"] = setup.Config.FeatureLayer;
        json["mm_vision_select_feature"] = setup.Config.KeepClassToken ? "cls_patch" : "patch";
        Checkpoints.LlavaLayoutConfig.AddImages(json, setup.Config);
        json["tokenizer_padding_side"] = "right";
        json["tokenizer_model_max_length"] = options.ModelMaxLength;
        json["tune_mm_mlp_adapter"] = true;
        json["freeze_mm_mlp_adapter"] = options.FreezeMmMlpAdapter;
        json["mm_projector_lr"] = options.MmProjectorLr;
        json[Checkpoints.LlavaFields.TemplateField] = setup.Template.FullName;
        json["mm_use_im_start_end"] = setup.Config.ImageStartEnd;
        json["mm_use_im_patch_token"] = setup.Config.ImagePatchToken;
        json["vocab_size"] = text.VocabularySize;
        return json.ToJsonString(ResolvedConfig.Readable) + "\n";
    }
}
