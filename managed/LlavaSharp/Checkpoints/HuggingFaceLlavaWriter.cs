using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Nodes;
using LlavaSharp.Imaging;

namespace LlavaSharp.Checkpoints;

/// <summary>Writes a folder that transformers' LlavaForConditionalGeneration (with anyres pictures LlavaNext…) and AutoProcessor
/// load, in versions 4 and 5: config, weights, tokenizer, processor. Logits of the ids that the model had are unchanged.</summary>
public static class HuggingFaceLlavaWriter
{
    /// <summary>Whether the layout holds such a model; asked before training, so that no work is lost.</summary>
    /// <param name="config">The model's shape.</param>
    /// <param name="reason">Why not, and what to do.</param>
    public static bool CanExport(LlavaConfig config, [NotNullWhen(false)] out string? reason)
    {
        reason = config switch
        {
            { Vision: null } => "Hugging Face's LLaVA layout needs a vision tower, and this model has none; name a CLIP folder with "
                + "--vision_tower",
            { Projector.Name: not "mlp2x_gelu" } => "Hugging Face's LLaVA layout holds only the projector mlp2x_gelu, and this "
                + $"model's is {config.Projector}; train with --mm_projector_type mlp2x_gelu",
            { IsAnyResolution: true, PatchMerge: not PatchMerge.SpatialUnpad } => "Hugging Face's LLaVA-NeXT layout lays tiles out as "
                + $"spatial_unpad, and this model as {PatchMerges.NameOf(config.PatchMerge)}; train with --mm_patch_merge_type spatial_unpad",
            _ => null,
        };
        return reason is null;
    }

    /// <summary>Writes the folder: a new one appears whole; in one that is there, config.json comes last.</summary>
    /// <returns>The config as written: with <c>&lt;image&gt;</c>, <c>&lt;pad&gt;</c> and the rows added for them.</returns>
    /// <exception cref="UserErrorException">The layout cannot hold the model, the tokenizer belongs to another one, or the
    /// folder cannot be written.</exception>
    public static LlavaConfig Write(string folder, ModelExport export)
    {
        if (!CanExport(export.Config, out string? reason))
        {
            throw new UserErrorException(reason);
        }

        ExportVocabulary vocabulary = ExportVocabulary.Plan(export.Config, export.Tokenizer);
        LlavaConfig config = export.Config with
        {
            Text = export.Config.Text with { VocabularySize = vocabulary.Rows, PadId = vocabulary.PadToken },
            ImageTokenIndex = vocabulary.ImageToken,
            PadTokenId = vocabulary.PadToken,
        };
        AtomicFolder.Write(folder, temporary =>
        {
            SafetensorsWriter.WriteSharded(temporary, Tensors(export, config), export.ShardBytesMax);
            new HuggingFaceTokenizerFiles(export.Tokenizer, vocabulary.Tokens)
            {
                IsLlava = true,
                EosIds = config.Text.EosIds,
                PadId = vocabulary.PadToken,
                ModelMaxLength = export.ModelMaxLength,
            }.Write(temporary);
            WriteJson(temporary, "config.json", ConfigOf(config, export));
            WriteJson(temporary, "generation_config.json", GenerationConfigOf(config.Text));
            WriteJson(temporary, "processor_config.json", ProcessorOf(config));
            // transformers pads where the processor's file says so: config.json's image_aspect_ratio is not known to it.
            ImageProcessorConfig processor = export.Processor with { Pads = config.ImageAspectRatio == "pad" ? true : null };
            JsonNode preprocessor = JsonNode.Parse(processor.ToJson())!;
            AddTiles(config, preprocessor);
            WriteJson(temporary, ImageProcessorConfig.FileName, preprocessor);
        });
        return config;
    }

    internal static void WriteJson(string folder, string name, JsonNode json) =>
        AtomicFile.WriteText(Path.Combine(folder, name), json.ToJsonString(ConfigJson.WriteOptions) + "\n");

    internal static JsonObject GenerationConfigOf(TextConfig text) => new()
    {
        ["bos_token_id"] = text.BosId,
        ["eos_token_id"] = text.ToJson()["eos_token_id"]!.DeepClone(),
        ["pad_token_id"] = text.PadId,
    };

    private static List<TensorSource> Tensors(ModelExport export, LlavaConfig config)
    {
        var tensors = new List<TensorSource>();
        foreach ((string name, long[] shape) in ParameterTable.Shapes(export.Config))
        {
            string stored = ParameterNames.FromCanonical(name, ParameterNaming.HuggingFace);
            long added = name is "embed.weight" or "head.weight" ? config.Text.VocabularySize - shape[0] : 0;
            tensors.Add(added == 0
                ? ParameterExport.Source(stored, name, shape, export.Parameters, export.Type)
                : ParameterExport.WithMeanRows(stored, name, shape, added, export.Parameters, export.Type));
        }

        return tensors;
    }

    private static JsonObject ConfigOf(LlavaConfig config, ModelExport export)
    {
        JsonObject text = config.Text.ToJson(), json = [];
        text["torch_dtype"] = export.Type.ConfigName();
        export.Fields.CopyTo(json);
        foreach ((string name, JsonNode? value) in new JsonObject
        {
            ["architectures"] = new JsonArray("LlavaForConditionalGeneration"),
            ["ignore_index"] = -100,
            ["image_aspect_ratio"] = config.ImageAspectRatio,
            ["image_seq_length"] = config.ImageRowCount,
            ["image_token_index"] = config.ImageTokenIndex,
            ["model_type"] = "llava",
            ["multimodal_projector_bias"] = true,
            ["pad_token_id"] = config.PadTokenId,
            ["projector_hidden_act"] = "gelu",
            ["text_config"] = text,
            ["tie_word_embeddings"] = false,
            ["torch_dtype"] = export.Type.ConfigName(),
            ["vision_config"] = config.Vision!.ToJson(),
            ["vision_feature_layer"] = config.FeatureLayer,
            ["vision_feature_select_strategy"] = config.KeepClassToken ? "full" : "default",
        })
        {
            json[name] = value?.DeepClone();
        }

        if (config.ImageStartEnd)
        {
            json["mm_use_im_start_end"] = true;
        }

        if (config.IsAnyResolution)
        {
            json["architectures"] = new JsonArray("LlavaNextForConditionalGeneration");
            json["image_grid_pinpoints"] = GridPinpoints.Write(GridPinpoints.Swap(config.GridPinpoints));
            json["mm_patch_merge_type"] = PatchMerges.NameOf(config.PatchMerge);
            json["model_type"] = "llava_next";
            json["use_image_newline_parameter"] = true;
        }

        return json;
    }

    private static string ProcessorName(LlavaConfig config) => config.IsAnyResolution ? "LlavaNextProcessor" : "LlavaProcessor";

    private static void AddTiles(LlavaConfig config, JsonNode preprocessor)
    {
        preprocessor["processor_class"] = ProcessorName(config);
        if (config.IsAnyResolution)
        {
            preprocessor["image_processor_type"] = "LlavaNextImageProcessor";
            preprocessor["do_pad"] = true;
            preprocessor["image_grid_pinpoints"] = GridPinpoints.Write(GridPinpoints.Swap(config.GridPinpoints));
        }
    }

    private static JsonObject ProcessorOf(LlavaConfig config) => new()
    {
        ["image_token"] = ExportVocabulary.ImageText,
        ["num_additional_image_tokens"] = 1,
        ["patch_size"] = config.Vision!.PatchSize,
        ["processor_class"] = ProcessorName(config),
        ["vision_feature_select_strategy"] = config.KeepClassToken ? "full" : "default",
    };
}
