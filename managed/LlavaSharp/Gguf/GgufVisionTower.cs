using LlavaSharp.Checkpoints;

namespace LlavaSharp.Gguf;

/// <summary>Writes tower and projector as llama.cpp's multimodal tools load them (<c>--mmproj</c>). Only what is computed is in the
/// file: the layers up to the feature layer, and not the last norm.</summary>
public static class GgufVisionTower
{
    private static readonly (string Canonical, string Stored)[] Parts =
    [
        ("layer_norm1", "ln1"), ("layer_norm2", "ln2"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"), ("self_attn.out_proj", "attn_out"), ("mlp.fc1", "ffn_up"), ("mlp.fc2", "ffn_down"),
    ];

    /// <summary>Whether llama.cpp computes such a model.</summary>
    /// <exception cref="UserErrorException">It does not; the message says why.</exception>
    public static void Check(LlavaConfig config)
    {
        string? reason = config switch
        {
            { Vision: null } => "the model has no vision tower; name a CLIP folder with --vision_tower",
            { Projector.Name: not "mlp2x_gelu" } => $"llama.cpp has no projector {config.Projector}; only mlp2x_gelu",
            { IsAnyResolution: true } => "tiles of anyres pictures are not written to GGUF; convert with --image_aspect_ratio pad for one square",
            { ImageStartEnd: true } => "llama.cpp puts no <im_start> and <im_end> around images, and this model was trained with them",
            { KeepClassToken: true } => "llama.cpp drops the class token's row, and this model keeps it (cls_patch, full)",
            { ResolvedFeatureLayer: 0 } => "llama.cpp takes no features from before the tower's first layer (feature layer 0)",
            _ => null,
        };
        if (reason is not null)
        {
            throw new UserErrorException(reason);
        }
    }

    /// <summary>Writes the file, whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="export">The model; its precision is not used.</param>
    /// <param name="type">F32, or F16 for the matrices; vectors and positions are F32.</param>
    /// <param name="name">What programs call the model.</param>
    /// <exception cref="UserErrorException">llama.cpp does not compute such a model, a parameter is missing, or the path cannot be
    /// written.</exception>
    public static void Write(string path, ModelExport export, GgufType type, string name)
    {
        Check(export.Config);
        VisionConfig vision = export.Config.Vision!;
        bool square = vision.IntermediateSize == vision.HiddenSize;
        var shapes = ParameterTable.Vision(vision).Concat(ParameterTable.Projector(export.Config)).Where(p => IsUsed(p.Key, export.Config));
        GgufTensor[] tensors = [.. shapes.Select(p => GgufRows.Tensor(
            NameOf(p.Key, square), p.Key, p.Value, export.Parameters,
            p.Value.Length == 1 || p.Key.Contains("position", StringComparison.Ordinal) ? GgufType.F32 : type))];
        GgufWriter.Write(path, Metadata(export, type, name), tensors);
    }

    /// <summary>The name of a parameter in the file.</summary>
    /// <param name="canonical">Its name here.</param>
    /// <param name="squareMlp">Whether the MLP is as wide as the tower: the loader takes a second matrix with as many columns as the
    /// tower is wide for the first one, as old files named them.</param>
    internal static string NameOf(string canonical, bool squareMlp)
    {
        switch (canonical)
        {
            case "vision.embeddings.class_embedding":
                return "v.class_embd";
            case "vision.embeddings.patch_embedding.weight":
                return "v.patch_embd.weight";
            case "vision.embeddings.position_embedding.weight":
                return "v.position_embd.weight";
        }

        string end = canonical[canonical.LastIndexOf('.')..];
        string[] split = canonical.Split('.');
        if (split[0] == "projector")
        {
            return $"mm.{split[1]}{end}";
        }

        if (split[1] == "pre_layrnorm")
        {
            return "v.pre_ln" + end;
        }

        string part = string.Join('.', split[4..^1]);
        string stored = Parts.Single(p => p.Canonical == part).Stored;
        stored = !squareMlp ? stored : stored switch { "ffn_up" => "ffn_down", "ffn_down" => "ffn_up", _ => stored };
        return $"v.blk.{split[3]}.{stored}{end}";
    }

    private static bool IsUsed(string canonical, LlavaConfig config) =>
        !canonical.StartsWith("vision.post_layernorm.", StringComparison.Ordinal)
        && (!canonical.StartsWith("vision.encoder.layers.", StringComparison.Ordinal)
            || int.Parse(canonical.Split('.')[3], System.Globalization.CultureInfo.InvariantCulture) < config.ResolvedFeatureLayer);

    private static GgufMetadata Metadata(ModelExport export, GgufType type, string name)
    {
        VisionConfig vision = export.Config.Vision!;
        int layers = export.Config.ResolvedFeatureLayer;
        return new GgufMetadata()
            .Add("general.architecture", "clip")
            .Add("general.type", "mmproj")
            .Add("general.name", name)
            .Add("general.file_type", type == GgufType.F32 ? 0 : 1)
            .Add("general.quantization_version", 2)
            .Add("clip.has_text_encoder", false)
            .Add("clip.has_vision_encoder", true)
            .Add("clip.has_llava_projector", true)
            .Add("clip.projector_type", "mlp")
            .Add("clip.use_gelu", vision.Activation == "gelu")
            .Add("clip.use_silu", false)
            .Add("clip.vision.image_size", vision.ImageSize)
            .Add("clip.vision.patch_size", vision.PatchSize)
            .Add("clip.vision.embedding_length", vision.HiddenSize)
            .Add("clip.vision.feed_forward_length", vision.IntermediateSize)
            .Add("clip.vision.projection_dim", export.Config.Text.HiddenSize)
            .Add("clip.vision.attention.head_count", vision.HeadCount)
            .Add("clip.vision.attention.layer_norm_epsilon", vision.LayerNormEpsilon)
            .Add("clip.vision.block_count", layers)
            .Add("clip.vision.feature_layer", (int[])[layers])
            .Add("clip.vision.image_mean", export.Processor.Mean)
            .Add("clip.vision.image_std", export.Processor.Std);
    }
}
