namespace LlavaSharp.Checkpoints;

/// <summary>Reads <c>config.json</c> of a Hugging Face LLaVA folder; the defaults are those of transformers'
/// <c>LlavaConfig</c>.</summary>
internal static class LlavaConfigReader
{
    internal static bool IsLlavaFolder(string folder) =>
        ConfigJson.Load(Path.Combine(folder, "config.json")).String("model_type") == "llava";

    internal static LlavaConfig Load(string folder)
    {
        ConfigJson json = ConfigJson.Load(Path.Combine(folder, "config.json"));
        string? type = json.String("model_type");
        if (type != "llava" || json.Has("mm_vision_tower"))
        {
            throw json.Unsupported("model_type", type is "llava" or "llava_llama" or "llava_mistral" or "llava_custom"
                ? "convert this folder of the original LLaVA code to Hugging Face's layout first"
                : "'llava' is; for a language model alone, name a CLIP folder with --vision_tower");
        }

        CheckFixed(json);
        VisionConfig vision = json.Object("vision_config") is { } visionJson
            ? VisionConfig.Read(visionJson) : VisionConfig.ClipLarge336;
        TextConfig text = TextConfig.Read(json.Object("text_config") ?? ConfigJson.Empty(json.Path, "text_config."), "llama");
        int featureLayer = ReadFeatureLayer(json);
        CheckFeatureLayer($"'{json.Path}': vision_feature_layer", featureLayer, vision.LayerCount);
        int imageToken = json.Int("image_token_index", 0) ?? json.Int("image_token_id", 0) ?? 32000;
        var config = new LlavaConfig
        {
            Vision = vision,
            Text = text,
            FeatureLayer = featureLayer,
            KeepClassToken = json.String("vision_feature_select_strategy") switch
            {
                null or "default" => false,
                "full" => true,
                _ => throw json.Unsupported("vision_feature_select_strategy", "'default' and 'full' are"),
            },
            ImageTokenIndex = imageToken,
            PadTokenId = json.Int("pad_token_id") is int pad && pad >= 0 && pad < text.VocabularySize ? pad : text.PadId,
            ImageAspectRatio = json.String("image_aspect_ratio") switch
            {
                null => "square",
                "square" or "pad" => json.String("image_aspect_ratio")!,
                _ => throw json.Unsupported("image_aspect_ratio", "'square' and 'pad' are"),
            },
        };
        return imageToken < text.VocabularySize
            ? config
            : throw new UserErrorException($"'{json.Path}': image_token_index = {imageToken} is outside the vocabulary, whose "
                + $"vocab_size is {text.VocabularySize}");
    }

    internal static void CheckFeatureLayer(string what, int layer, int layers)
    {
        if (layer < -layers - 1 || layer > layers)
        {
            throw new UserErrorException($"{what} = {layer} is outside the tower, which has {layers} layers; "
                + $"use {-layers - 1} to {layers}");
        }
    }

    private static int ReadFeatureLayer(ConfigJson json)
    {
        int[]? layers = json.Ints("vision_feature_layer");
        return layers switch
        {
            null => -2,
            [int one] when !json.IsArray("vision_feature_layer") => one,
            _ => throw json.Unsupported("vision_feature_layer", "a single layer is"),
        };
    }

    private static void CheckFixed(ConfigJson json)
    {
        if ((json.String("projector_hidden_act") ?? "gelu") != "gelu")
        {
            throw json.Unsupported("projector_hidden_act", "only 'gelu' is");
        }

        if (json.Bool("multimodal_projector_bias") == false)
        {
            throw json.Unsupported("multimodal_projector_bias", "only true is");
        }

        if (json.Bool("tie_word_embeddings") == true)
        {
            throw json.Unsupported("tie_word_embeddings", "only false is");
        }

        if (json.Has("quantization_config"))
        {
            throw json.Unsupported("quantization_config", "only float32, float16 and bfloat16 weights are");
        }
    }
}
