namespace LlavaSharp.Lora;

/// <summary>The recipe's <c>--lora_bias</c>: which biases train beside the adapters and are saved with them.</summary>
public enum LoraBias
{
    /// <summary>No bias.</summary>
    None,

    /// <summary>Every bias.</summary>
    All,

    /// <summary>The biases of adapted layers. LLaMA's and Mistral's linears have none.</summary>
    LoraOnly,
}
