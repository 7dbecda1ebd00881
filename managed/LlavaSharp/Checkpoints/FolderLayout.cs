namespace LlavaSharp.Checkpoints;

/// <summary>How a model folder is laid out.</summary>
public enum FolderLayout
{
    /// <summary>A LLaMA or Mistral folder: no tower, no projector.</summary>
    LanguageModel,

    /// <summary>transformers' LlavaForConditionalGeneration: <c>text_config</c> and <c>vision_config</c> in one config.json.</summary>
    HuggingFace,

    /// <summary>The original LLaVA code's LlavaLlamaForCausalLM or LlavaMistralForCausalLM: the language model's config.json with
    /// <c>mm_…</c> fields; the tower is named there, and its weights may be elsewhere.</summary>
    Llava,
}
