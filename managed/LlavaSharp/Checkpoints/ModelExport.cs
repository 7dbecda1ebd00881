using LlavaSharp.Imaging;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>What a LLaVA folder is written from, in either layout.</summary>
public sealed record ModelExport
{
    /// <summary>The model's shape.</summary>
    public required LlavaConfig Config { get; init; }

    /// <summary>Its parameters, such as a <see cref="ModelParameterSource"/>.</summary>
    public required IParameterSource Parameters { get; init; }

    /// <summary>Its tokenizer.</summary>
    public required LlavaTokenizer Tokenizer { get; init; }

    /// <summary>How its pictures are resized and normalised.</summary>
    public required ImageProcessorConfig Processor { get; init; }

    /// <summary>What is known of how the model was trained; the config keeps it.</summary>
    public LlavaFields Fields { get; init; } = LlavaFields.None;

    /// <summary>Precision stored: F32, F16 or BF16.</summary>
    public TensorType Type { get; init; } = TensorType.F32;

    /// <summary>The largest shard of weights, in bytes.</summary>
    public long ShardBytesMax { get; init; } = SafetensorsWriter.DefaultShardBytesMax;

    /// <summary>The recipe's --model_max_length, in tokens, which the tokenizer files repeat.</summary>
    public int ModelMaxLength { get; init; } = 2048;
}
