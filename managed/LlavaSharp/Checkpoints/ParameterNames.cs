using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace LlavaSharp.Checkpoints;

/// <summary>Translates between the engine's canonical parameter names and the spellings found in checkpoints.
/// One place knows them all, so that load, export and parity cannot disagree.</summary>
public static class ParameterNames
{
    // Longest first: "model." is also the beginning of others.
    private static readonly string[] VisionPrefixes =
    [
        "model.vision_tower.vision_tower.vision_model.", "model.vision_tower.vision_tower.", "model.vision_tower.vision_model.",
        "model.vision_tower.",
        "vision_tower.vision_model.", "vision_tower.", "vision_model.", "",
    ];

    private static readonly string[] DecoderPrefixes =
        ["language_model.model.", "model.language_model.", "language_model.", "model."];

    private static readonly string[] VisionTops =
    [
        "embeddings.class_embedding", "embeddings.patch_embedding.weight", "embeddings.position_embedding.weight",
        "pre_layrnorm.weight", "pre_layrnorm.bias", "post_layernorm.weight", "post_layernorm.bias",
    ];

    private static readonly string[] VisionParts =
        ["layer_norm1", "layer_norm2", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2"];

    private static readonly string[] DecoderParts =
    [
        "input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
    ];

    /// <summary>The canonical name of a checkpoint's tensor, in whichever spelling; false for one that LLaVA does
    /// not use (CLIP's text tower, position ids, rotary tables) or that is unknown.</summary>
    public static bool TryToCanonical(string checkpointName, [NotNullWhen(true)] out string? canonicalName)
    {
        canonicalName = Newline(checkpointName) ?? Head(checkpointName) ?? Projector(checkpointName) ?? Decoder(checkpointName)
            ?? Vision(checkpointName);
        return canonicalName is not null;
    }

    /// <summary>How <paramref name="naming"/> spells a canonical name.</summary>
    /// <exception cref="ArgumentException">The naming has no such parameter.</exception>
    public static string FromCanonical(string canonicalName, ParameterNaming naming)
    {
        string? name = canonicalName switch
        {
            "embed.weight" => DecoderPrefix(naming) + "embed_tokens.weight",
            "head.norm.weight" => DecoderPrefix(naming) + "norm.weight",
            "head.weight" => naming == ParameterNaming.HuggingFace ? "language_model.lm_head.weight" : "lm_head.weight",
            ParameterTable.NewlineName when naming is ParameterNaming.HuggingFace => canonicalName,
            ParameterTable.NewlineName when naming is ParameterNaming.HuggingFaceMemory or ParameterNaming.Llava => "model." + canonicalName,
            _ when After(canonicalName, "layer.") is { } rest => $"{DecoderPrefix(naming)}layers.{rest}",
            _ when After(canonicalName, "vision.") is { } rest => VisionPrefix(naming) + rest,
            _ when After(canonicalName, "projector.") is { } rest => FromProjector(rest, naming),
            _ => null,
        };
        bool held = naming switch
        {
            ParameterNaming.LanguageModel => !canonicalName.StartsWith("vision.", StringComparison.Ordinal),
            ParameterNaming.Clip => canonicalName.StartsWith("vision.", StringComparison.Ordinal),
            _ => true,
        };
        return name is not null && held
            ? name
            : throw new ArgumentException($"{naming} has no name for '{canonicalName}'", nameof(canonicalName));
    }

    private static string? Newline(string name) =>
        name == ParameterTable.NewlineName || name.EndsWith("." + ParameterTable.NewlineName, StringComparison.Ordinal)
            ? ParameterTable.NewlineName : null;

    private static string? Head(string name) => name switch
    {
        "language_model.lm_head.weight" or "lm_head.weight" or "model.lm_head.weight" => "head.weight",
        _ => null,
    };

    private static string? Projector(string name)
    {
        string bare = After(name, "model.") ?? name;
        if (After(bare, "multi_modal_projector.linear_") is { } numbered)
        {
            return numbered switch
            {
                "1.weight" or "1.bias" => $"projector.0{numbered[1..]}",
                "2.weight" or "2.bias" => $"projector.2{numbered[1..]}",
                _ => null,
            };
        }

        // LLaVA's loader keeps what follows "mm_projector.", wherever that stands.
        int at = name.LastIndexOf("mm_projector.", StringComparison.Ordinal);
        if (at < 0 || (at > 0 && name[at - 1] != '.'))
        {
            return null;
        }

        string rest = name[(at + "mm_projector.".Length)..];
        if (rest is "weight" or "bias")
        {
            return $"projector.{rest}";
        }

        return SplitIndex(rest, out int index, out string tail) && tail is "weight" or "bias" && index % 2 == 0
            ? $"projector.{rest}" : null;
    }

    private static string? Decoder(string name)
    {
        foreach (string prefix in DecoderPrefixes)
        {
            switch (After(name, prefix))
            {
                case null:
                    continue;
                case "embed_tokens.weight":
                    return "embed.weight";
                case "norm.weight":
                    return "head.norm.weight";
                case { } rest when After(rest, "layers.") is { } layer && SplitIndex(layer, out _, out string tail)
                    && DecoderParts.Any(part => tail == part + ".weight"):
                    return $"layer.{layer}";
                default:
                    continue;
            }
        }

        return null;
    }

    private static string? Vision(string name)
    {
        foreach (string prefix in VisionPrefixes)
        {
            if (After(name, prefix) is not { } rest)
            {
                continue;
            }

            if (VisionTops.Contains(rest) || (After(rest, "encoder.layers.") is { } layer
                && SplitIndex(layer, out _, out string tail)
                && VisionParts.Any(part => tail == part + ".weight" || tail == part + ".bias")))
            {
                return $"vision.{rest}";
            }
        }

        return null;
    }

    private static string? FromProjector(string rest, ParameterNaming naming) => naming switch
    {
        ParameterNaming.Llava => $"model.mm_projector.{rest}",
        ParameterNaming.HuggingFace or ParameterNaming.HuggingFaceMemory when rest.Length > 2 && rest[0] is '0' or '2' && rest[1] == '.' =>
            (naming == ParameterNaming.HuggingFaceMemory ? "model." : "")
                + $"multi_modal_projector.linear_{(rest[0] == '0' ? 1 : 2)}{rest[1..]}",
        _ => null,
    };

    private static string DecoderPrefix(ParameterNaming naming) => naming switch
    {
        ParameterNaming.HuggingFace => "language_model.model.",
        ParameterNaming.HuggingFaceMemory => "model.language_model.",
        _ => "model.",
    };

    private static string VisionPrefix(ParameterNaming naming) => naming switch
    {
        ParameterNaming.HuggingFace => "vision_tower.vision_model.",
        ParameterNaming.HuggingFaceMemory => "model.vision_tower.",
        ParameterNaming.Clip => "vision_model.",
        _ => "model.vision_tower.vision_tower.vision_model.",
    };

    private static string? After(string name, string prefix) =>
        name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : null;

    /// <summary>Splits "12.mlp.fc1" into 12 and the rest; refuses "012" and numbers past int.</summary>
    private static bool SplitIndex(string text, out int index, out string tail)
    {
        int dot = text.IndexOf('.', StringComparison.Ordinal);
        (index, tail) = (0, "");
        if (dot < 1 || !int.TryParse(text.AsSpan(0, dot), NumberStyles.None, CultureInfo.InvariantCulture, out index)
            || (dot > 1 && text[0] == '0'))
        {
            return false;
        }

        tail = text[(dot + 1)..];
        return true;
    }
}
