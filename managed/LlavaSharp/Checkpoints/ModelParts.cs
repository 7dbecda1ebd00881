using LlavaSharp.Imaging;

namespace LlavaSharp.Checkpoints;

/// <summary>A model to be put together from folders, with the recipe's names of the flags.</summary>
public sealed record ModelParts
{
    /// <summary>--model_name_or_path: a LLaMA or Mistral folder, or a LLaVA folder of either layout.</summary>
    public required string LanguageFolder { get; init; }

    /// <summary>The folder whose config.json says what the model is, where that is not <see cref="LanguageFolder"/>: an adapter's,
    /// or what stage 1 left.</summary>
    public string? ConfigFolder { get; init; }

    /// <summary>--vision_tower: a CLIP folder. Not used with a Hugging Face LLaVA folder; with the original code's it stands for
    /// the folder that mm_vision_tower names; null with a language model's folder means a text-only model.</summary>
    public string? ClipFolder { get; init; }

    /// <summary>--pretrain_mm_mlp_adapter: the projector to start from (<c>mm_projector.bin</c> or .safetensors); null
    /// means a LLaVA folder's own, or a fresh one.</summary>
    public string? ProjectorFile { get; init; }

    /// <summary>--mm_projector_type. Not used with a LLaVA folder.</summary>
    public ProjectorType Projector { get; init; } = ProjectorType.Mlp2;

    /// <summary>--mm_vision_select_layer; null means a LLaVA folder's own, or -2.</summary>
    public int? FeatureLayer { get; init; }

    /// <summary>--mm_vision_select_feature cls_patch; null means a LLaVA folder's own, or patch.</summary>
    public bool? KeepClassToken { get; init; }

    /// <summary>--image_aspect_ratio, <c>square</c>, <c>pad</c> or <c>anyres</c>; null means a LLaVA folder's own, or square.</summary>
    public string? ImageAspectRatio { get; init; }

    /// <summary>--image_grid_pinpoints, width first; null means a LLaVA folder's own.</summary>
    public IReadOnlyList<(int Width, int Height)>? GridPinpoints { get; init; }

    /// <summary>--mm_patch_merge_type; null means a LLaVA folder's own, or flat.</summary>
    public PatchMerge? PatchMerge { get; init; }

    /// <summary>--mm_use_im_start_end; null means a LLaVA folder's own, or false.</summary>
    public bool? ImageStartEnd { get; init; }

    /// <summary>--mm_use_im_patch_token; null means a LLaVA folder's own, or false.</summary>
    public bool? ImagePatchToken { get; init; }

    /// <summary>--seed: what a fresh projector is drawn from.</summary>
    public long Seed { get; init; } = 42;
}
