using LlavaSharp.Imaging;

namespace LlavaSharp.Checkpoints;

/// <summary>Reads <c>config.json</c> of a LLaVA folder, of Hugging Face's layout or of the original code's.</summary>
internal static class LlavaConfigReader
{
    internal static FolderLayout LayoutOf(string folder) => LayoutOf(ConfigJson.Load(Path.Combine(folder, "config.json")));

    /// <summary>Reads a folder of either LLaVA layout.</summary>
    internal static LlavaConfig Load(string folder, string? clipFolder)
    {
        ConfigJson json = ConfigJson.Load(Path.Combine(folder, "config.json"));
        return LayoutOf(json) switch
        {
            FolderLayout.HuggingFace => ReadHuggingFace(json, folder),
            FolderLayout.Llava => ReadLlava(json, Tower(json, folder, clipFolder).Config),
            _ => throw json.Unsupported("model_type",
                "'llava' is; for a language model alone, name a CLIP folder with --vision_tower"),
        };
    }

    /// <summary>The tower that a folder of the original layout names.</summary>
    internal static LlavaTower Tower(string folder, string? clipFolder) =>
        Tower(ConfigJson.Load(Path.Combine(folder, "config.json")), folder, clipFolder);

    private static LlavaTower Tower(ConfigJson json, string folder, string? clipFolder) => LlavaTower.Find(folder,
        json.String("mm_vision_tower") ?? throw json.Wrong("mm_vision_tower", "the name or folder of a CLIP model"), clipFolder);

    // transformers' LLaVA has model_type "llava"; so had the first versions of the original code, beside mm_vision_tower.
    private static FolderLayout LayoutOf(ConfigJson json) => json.String("model_type") switch
    {
        "llava" when json.Has("text_config") || !json.Has("mm_vision_tower") => FolderLayout.HuggingFace,
        "llava_next" => FolderLayout.HuggingFace,
        "llava" or "llava_llama" or "llava_mistral" or "llava_custom" => FolderLayout.Llava,
        _ => FolderLayout.LanguageModel,
    };

    /// <summary>The original layout: the defaults of absent fields are those of the original code.</summary>
    private static LlavaConfig ReadLlava(ConfigJson json, VisionConfig vision)
    {
        CheckFixed(json);
        bool mistral = json.String("model_type") == "llava_mistral"
            || json.Texts("architectures").Any(name => name.Contains("Mistral", StringComparison.Ordinal));
        TextConfig text = TextConfig.ReadAs(json, mistral ? "mistral" : "llama");
        if (json.Int("mm_hidden_size") is int width && width != vision.HiddenSize)
        {
            throw new UserErrorException($"'{json.Path}': mm_hidden_size = {width}, but the tower "
                + $"{SafetensorsHeader.Quote(json.String("mm_vision_tower")!)} has {vision.HiddenSize}; name the right CLIP folder with "
                + "--vision_tower");
        }

        int layer = json.Int("mm_vision_select_layer") ?? throw json.Wrong("mm_vision_select_layer", "a whole number, such as -2");
        CheckFeatureLayer($"'{json.Path}': mm_vision_select_layer", layer, vision.LayerCount);
        return new()
        {
            Vision = vision,
            Text = text,
            Projector = ProjectorType.Parse(json.String("mm_projector_type") ?? "linear"),
            FeatureLayer = layer,
            KeepClassToken = json.String("mm_vision_select_feature") switch
            {
                null or "patch" => false,
                "cls_patch" => true,
                _ => throw json.Unsupported("mm_vision_select_feature", "'patch' and 'cls_patch' are"),
            },
            PadTokenId = text.PadId,
            ImageAspectRatio = AspectRatio(json),
            GridPinpoints = Pinpoints(json) ?? [],
            PatchMerge = Merge(json),
            ImageStartEnd = json.Bool("mm_use_im_start_end") ?? false,
            ImagePatchToken = json.Bool("mm_use_im_patch_token") ?? false,
        };
    }

    /// <summary>transformers' layout: the defaults of absent fields are those of its <c>LlavaConfig</c>.</summary>
    private static LlavaConfig ReadHuggingFace(ConfigJson json, string folder)
    {
        CheckFixed(json);
        VisionConfig vision = json.Object("vision_config") is { } visionJson
            ? VisionConfig.Read(visionJson) : VisionConfig.ClipLarge336;
        TextConfig text = TextConfig.Read(json.Object("text_config") ?? ConfigJson.Empty(json.Path, "text_config."), "llama");
        text = text with
        {
            // transformers 5 states what generation needs at the top, too.
            EosIds = [.. text.EosIds.Concat(StopTokens.Known(json.Ints("eos_token_id"), text.VocabularySize)).Distinct()],
        };
        bool next = json.String("model_type") == "llava_next";
        if (next && json.Bool("use_image_newline_parameter") == false)
        {
            throw json.Unsupported("use_image_newline_parameter", "only true is");
        }

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
            ImageAspectRatio = next ? "anyres" : AspectRatio(json, folder),
            GridPinpoints = next ? NextPinpoints(json) : Pinpoints(json) ?? [],
            PatchMerge = next ? PatchMerge.SpatialUnpad : Merge(json),
            ImageStartEnd = json.Bool("mm_use_im_start_end") ?? false,
            ImagePatchToken = json.Bool("mm_use_im_patch_token") ?? false,
        };
        return imageToken < text.VocabularySize
            ? config
            : throw new UserErrorException($"'{json.Path}': image_token_index = {imageToken} is outside the vocabulary, whose "
                + $"vocab_size is {text.VocabularySize}");
    }

    private static string AspectRatio(ConfigJson json) => json.String("image_aspect_ratio") switch
    {
        null => "square",
        "square" or "pad" or "anyres" => json.String("image_aspect_ratio")!,
        _ => throw json.Unsupported("image_aspect_ratio", "'square', 'pad' and 'anyres' are"),
    };

    // What transformers does with the folder goes first: it pads as a LlavaImageProcessor's do_pad says, and knows no image_aspect_ratio.
    private static string AspectRatio(ConfigJson json, string folder) =>
        (AspectRatio(json), ImageProcessorConfig.Find(folder)?.Pads) is ("square" or "pad", { } pads)
            ? pads ? "pad" : "square" : AspectRatio(json);

    private static PatchMerge Merge(ConfigJson json) => json.String("mm_patch_merge_type") is not { } name ? PatchMerge.Flat
        : PatchMerges.Parse(name) ?? throw json.Unsupported("mm_patch_merge_type", "'flat', 'spatial' and 'spatial_unpad' are");

    private static IReadOnlyList<(int Width, int Height)>? Pinpoints(ConfigJson json) => !json.Fields.Contains("image_grid_pinpoints") ? null
        : json.Node("image_grid_pinpoints") is not { } node ? null
        : GridPinpoints.Read(node) ?? throw json.Wrong("image_grid_pinpoints", "a list of [width, height]");

    // transformers writes heights first, and has LLaVA-1.6's sizes where none are given.
    private static IReadOnlyList<(int Width, int Height)> NextPinpoints(ConfigJson json) =>
        GridPinpoints.Swap(Pinpoints(json) ?? [.. AnyResolution.Llava16]);

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

        if (json.Bool("s2") == true)
        {
            throw json.Unsupported("s2", "the tower sees a picture at one size; only false is");
        }

        if ((json.String("mm_resampler_type") ?? "identity") != "identity")
        {
            throw json.Unsupported("mm_resampler_type", "only null and 'identity' are");
        }

        if (json.Has("quantization_config"))
        {
            throw json.Unsupported("quantization_config", "only float32, float16 and bfloat16 weights are");
        }
    }
}
