namespace LlavaSharp.Checkpoints;

/// <summary>Canonical names and shapes of a model's parameters, by unit, in the engine's order. What is read or
/// written before an engine exists walks this; a test holds it equal to the engine's own table.</summary>
public static class ParameterTable
{
    /// <summary>The canonical name of the learned row of anyres.</summary>
    public const string NewlineName = "image_newline";

    /// <summary>All parameters: vision tower, projector, decoder.</summary>
    public static IEnumerable<KeyValuePair<string, long[]>> Shapes(LlavaConfig config)
    {
        IEnumerable<KeyValuePair<string, long[]>> decoder = Decoder(config.Text);
        return config.Vision is null
            ? decoder
            : Vision(config.Vision).Concat(Projector(config)).Concat(decoder).Concat(Newline(config));
    }

    /// <summary>The learned row at the end of each row of an anyres picture, where the model has it.</summary>
    public static IEnumerable<KeyValuePair<string, long[]>> Newline(LlavaConfig config) =>
        config.HasNewline ? [New(NewlineName, config.Text.HiddenSize)] : [];

    /// <summary>The vision tower's parameters.</summary>
    public static IEnumerable<KeyValuePair<string, long[]>> Vision(VisionConfig config)
    {
        long width = config.HiddenSize, inner = config.IntermediateSize;
        yield return New("vision.embeddings.class_embedding", width);
        yield return New("vision.embeddings.patch_embedding.weight", width, 3, config.PatchSize, config.PatchSize);
        yield return New("vision.embeddings.position_embedding.weight", config.PatchCount + 1, width);
        yield return New("vision.pre_layrnorm.weight", width);
        yield return New("vision.pre_layrnorm.bias", width);
        for (int i = 0; i < config.LayerCount; i++)
        {
            string layer = $"vision.encoder.layers.{i}.";
            yield return New(layer + "layer_norm1.weight", width);
            yield return New(layer + "layer_norm1.bias", width);
            foreach (string part in (string[])["q_proj", "k_proj", "v_proj", "out_proj"])
            {
                yield return New($"{layer}self_attn.{part}.weight", width, width);
                yield return New($"{layer}self_attn.{part}.bias", width);
            }

            yield return New(layer + "layer_norm2.weight", width);
            yield return New(layer + "layer_norm2.bias", width);
            yield return New(layer + "mlp.fc1.weight", inner, width);
            yield return New(layer + "mlp.fc1.bias", inner);
            yield return New(layer + "mlp.fc2.weight", width, inner);
            yield return New(layer + "mlp.fc2.bias", width);
        }

        yield return New("vision.post_layernorm.weight", width);
        yield return New("vision.post_layernorm.bias", width);
    }

    /// <summary>The projector's parameters; none for identity.</summary>
    public static IEnumerable<KeyValuePair<string, long[]>> Projector(LlavaConfig config)
    {
        if (config.Vision is null)
        {
            yield break;
        }

        long hidden = config.Text.HiddenSize;
        for (int i = 0; i < config.Projector.Depth; i++)
        {
            // An mlpNx_gelu is a sequence of Linear, GELU, Linear, …: its linears have even indices.
            string name = config.Projector.IsMlp ? $"projector.{2 * i}." : "projector.";
            yield return New(name + "weight", hidden, i == 0 ? config.Vision.HiddenSize : hidden);
            yield return New(name + "bias", hidden);
        }
    }

    /// <summary>The decoder's parameters: embedding, layers, head.</summary>
    public static IEnumerable<KeyValuePair<string, long[]>> Decoder(TextConfig config)
    {
        long width = config.HiddenSize, inner = config.IntermediateSize;
        long queries = (long)config.HeadCount * config.HeadDim, keys = (long)config.KeyValueHeadCount * config.HeadDim;
        yield return New("embed.weight", config.VocabularySize, width);
        for (int i = 0; i < config.LayerCount; i++)
        {
            string layer = $"layer.{i}.";
            yield return New(layer + "input_layernorm.weight", width);
            yield return New(layer + "self_attn.q_proj.weight", queries, width);
            yield return New(layer + "self_attn.k_proj.weight", keys, width);
            yield return New(layer + "self_attn.v_proj.weight", keys, width);
            yield return New(layer + "self_attn.o_proj.weight", width, queries);
            yield return New(layer + "post_attention_layernorm.weight", width);
            yield return New(layer + "mlp.gate_proj.weight", inner, width);
            yield return New(layer + "mlp.up_proj.weight", inner, width);
            yield return New(layer + "mlp.down_proj.weight", width, inner);
        }

        yield return New("head.norm.weight", width);
        yield return New("head.weight", config.VocabularySize, width);
    }

    private static KeyValuePair<string, long[]> New(string name, params long[] shape) => new(name, shape);
}
