using LlavaSharp.Checkpoints;

namespace LlavaSharp.Lora;

/// <summary>What an adapter folder is written from.</summary>
public sealed record AdapterExport
{
    /// <summary>The whole model's shape.</summary>
    public required LlavaConfig Config { get; init; }

    /// <summary>Rank, scale, dropout, biases.</summary>
    public required AdapterOptions Options { get; init; }

    /// <summary>The adapters' parameters by canonical name (<c>layer.0.self_attn.q_proj.lora_A.weight</c>), and those of
    /// <see cref="Trainables"/>.</summary>
    public required IParameterSource Parameters { get; init; }

    /// <summary>The model that was adapted, as the user named it.</summary>
    public required string BaseModel { get; init; }

    /// <summary>The adapted modules; null means what the recipe adapts.</summary>
    public IReadOnlyList<string>? Modules { get; init; }

    /// <summary>Canonical names of the whole parameters that trained beside the adapters: the projector's.</summary>
    public IReadOnlyList<string> Trainables { get; init; } = [];

    /// <summary>The recipe's fields of config.json.</summary>
    public LlavaFields Fields { get; init; } = LlavaFields.None;

    /// <summary>Precision stored: F32, F16 or BF16.</summary>
    public TensorType Type { get; init; } = TensorType.F32;
}
