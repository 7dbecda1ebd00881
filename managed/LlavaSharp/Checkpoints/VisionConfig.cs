using System.Text.Json.Nodes;

namespace LlavaSharp.Checkpoints;

/// <summary>Shape of a CLIP vision tower, from <c>config.json</c>. A field that is absent has the default of
/// transformers' <c>CLIPVisionConfig</c>; one that changes the arithmetic and is not implemented is refused.</summary>
public sealed record VisionConfig
{
    /// <summary>Width Dv.</summary>
    public int HiddenSize { get; init; } = 768;

    /// <summary>Width of the MLP.</summary>
    public int IntermediateSize { get; init; } = 3072;

    /// <summary>Layers in the checkpoint.</summary>
    public int LayerCount { get; init; } = 12;

    /// <summary>Attention heads; divides <see cref="HiddenSize"/>.</summary>
    public int HeadCount { get; init; } = 12;

    /// <summary>Side S of the square input, in pixels; a multiple of <see cref="PatchSize"/>.</summary>
    public int ImageSize { get; init; } = 224;

    /// <summary>Side p of a patch, in pixels.</summary>
    public int PatchSize { get; init; } = 32;

    /// <summary>Epsilon of the LayerNorms.</summary>
    public double LayerNormEpsilon { get; init; } = 1e-5;

    /// <summary>Activation of the MLP: <c>quick_gelu</c> (x·sigmoid(1.702x)) or <c>gelu</c> (with erf).</summary>
    public string Activation { get; init; } = "quick_gelu";

    /// <summary>Width of CLIP's shared space. Not used by LLaVA; kept so that a written config equals the one read.</summary>
    public int ProjectionDim { get; init; } = 512;

    /// <summary>Patches P = (S/p)².</summary>
    public int PatchCount => ImageSize / PatchSize * (ImageSize / PatchSize);

    /// <summary>The tower that LlavaConfig means when it says nothing: CLIP ViT-L/14 at 336 pixels.</summary>
    public static VisionConfig ClipLarge336 { get; } = new()
    {
        HiddenSize = 1024,
        IntermediateSize = 4096,
        LayerCount = 24,
        HeadCount = 16,
        ImageSize = 336,
        PatchSize = 14,
        ProjectionDim = 768,
    };

    /// <summary>Reads the tower of a CLIP folder: a whole CLIP model (<c>vision_config</c> inside) or a
    /// <c>clip_vision_model</c>.</summary>
    /// <exception cref="UserErrorException">The file is missing or malformed, or asks for what is not implemented.</exception>
    public static VisionConfig Load(string folder)
    {
        ConfigJson json = ConfigJson.Load(Path.Combine(folder, "config.json"));
        return json.String("model_type") switch
        {
            "clip_vision_model" => Read(json),
            "clip" => Read(json.Object("vision_config") ?? json.Object("vision_config_dict")
                ?? ConfigJson.Empty(json.Path, "vision_config.")),
            _ => throw json.Unsupported("model_type", "a CLIP folder has 'clip' or 'clip_vision_model'"),
        };
    }

    internal static VisionConfig Read(ConfigJson json)
    {
        if (json.Has("model_type") && json.String("model_type") != "clip_vision_model")
        {
            throw json.Unsupported("model_type", "only 'clip_vision_model' is");
        }

        var d = new VisionConfig();
        var config = new VisionConfig
        {
            HiddenSize = json.Int("hidden_size", 1) ?? d.HiddenSize,
            IntermediateSize = json.Int("intermediate_size", 1) ?? d.IntermediateSize,
            LayerCount = json.Int("num_hidden_layers", 1) ?? d.LayerCount,
            HeadCount = json.Int("num_attention_heads", 1) ?? d.HeadCount,
            ImageSize = json.Int("image_size", 1, 1 << 14) ?? d.ImageSize,
            PatchSize = json.Int("patch_size", 1) ?? d.PatchSize,
            LayerNormEpsilon = json.Positive("layer_norm_eps") ?? d.LayerNormEpsilon,
            Activation = json.String("hidden_act") ?? d.Activation,
            ProjectionDim = json.Int("projection_dim", 1) ?? d.ProjectionDim,
        };
        config.Check(json);
        return config;
    }

    /// <summary>The object <c>vision_config</c> of a LLaVA folder, or a <c>clip_vision_model</c>'s config, readable
    /// by transformers 4 and 5.</summary>
    internal JsonObject ToJson() => new()
    {
        ["attention_dropout"] = 0.0,
        ["hidden_act"] = Activation,
        ["hidden_size"] = HiddenSize,
        ["image_size"] = ImageSize,
        ["intermediate_size"] = IntermediateSize,
        ["layer_norm_eps"] = LayerNormEpsilon,
        ["model_type"] = "clip_vision_model",
        ["num_attention_heads"] = HeadCount,
        ["num_channels"] = 3,
        ["num_hidden_layers"] = LayerCount,
        ["patch_size"] = PatchSize,
        ["projection_dim"] = ProjectionDim,
    };

    private void Check(ConfigJson json)
    {
        if (Activation is not ("quick_gelu" or "gelu"))
        {
            throw json.Unsupported("hidden_act", "'quick_gelu' and 'gelu' are");
        }

        if ((json.Int("num_channels") ?? 3) != 3)
        {
            throw json.Unsupported("num_channels", "images have 3");
        }

        if ((json.Double("attention_dropout") ?? 0) != 0)
        {
            throw json.Unsupported("attention_dropout", "only 0 is");
        }

        if (HiddenSize % HeadCount != 0)
        {
            throw json.Wrong("num_attention_heads", $"a divisor of hidden_size = {HiddenSize}");
        }

        if (ImageSize % PatchSize != 0)
        {
            throw json.Unsupported("image_size", $"a multiple of patch_size = {PatchSize} is");
        }
    }
}
