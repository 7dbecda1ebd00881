namespace LlavaSharp.Checkpoints;

/// <summary>Who spells a parameter's name.</summary>
public enum ParameterNaming
{
    /// <summary>A LLaVA folder of transformers 4, which 5 also reads: <c>language_model.model.layers.0.…</c>,
    /// <c>vision_tower.vision_model.…</c>, <c>multi_modal_projector.linear_1.…</c>.</summary>
    HuggingFace,

    /// <summary>Names in memory of transformers 5: <c>model.language_model.layers.0.…</c>, <c>lm_head.weight</c>,
    /// <c>model.vision_tower.embeddings.…</c>.</summary>
    HuggingFaceMemory,

    /// <summary>A LLaMA or Mistral folder: <c>model.layers.0.…</c>, <c>lm_head.weight</c>.</summary>
    LanguageModel,

    /// <summary>A CLIP folder: <c>vision_model.…</c>.</summary>
    Clip,

    /// <summary>The original LLaVA code: as <see cref="LanguageModel"/>, <c>model.mm_projector.0.weight</c>,
    /// <c>model.vision_tower.vision_tower.vision_model.…</c>.</summary>
    Llava,
}
