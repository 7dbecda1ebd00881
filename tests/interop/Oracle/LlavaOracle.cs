using static TorchSharp.torch;

namespace LlavaSharp.Interop.Tests.Oracle;

/// <summary>
/// LLaVA written a second time, with TorchSharp in float64 and autograd, one sample after the other: CLIP's tower
/// (Radford et al. 2021), LLaVA's projector (Liu et al. 2023), the LLaMA decoder (Touvron et al. 2023).
/// </summary>
internal sealed class LlavaOracle
{
    private readonly ModelConfig _config;

    public LlavaOracle(Model model)
    {
        _config = model.Config;
        foreach (ParameterInfo row in model.Parameters)
        {
            Tensor value = tensor(model.Read(row.Name), row.Shape).to(ScalarType.Float64);
            Parameters[row.Name] = new TorchSharp.Modules.Parameter(value, row.Trainable);
        }
    }

    /// <summary>The model's parameters in float64; those that train collect gradients.</summary>
    public Dictionary<string, TorchSharp.Modules.Parameter> Parameters { get; } = [];

    // [N,3,S,S] → [N,L,Dv]
    public Tensor Vision(Tensor pixels)
    {
        const string Root = "vision.";
        long[] stride = [_config.PatchSize, _config.PatchSize];
        Tensor patches = nn.functional.conv2d(pixels, this[Root + "embeddings.patch_embedding.weight"], strides: stride)
            .flatten(2).transpose(1, 2); // [N,P,Dv]
        Tensor first = this[Root + "embeddings.class_embedding"].expand(pixels.shape[0], 1, _config.VisionHidden);
        Tensor hidden = cat([first, patches], 1) + this[Root + "embeddings.position_embedding.weight"];
        hidden = LayerNorm(hidden, Root + "pre_layrnorm");
        int chosen = _config.VisionFeatureLayer;
        int layers = chosen < 0 ? _config.VisionLayers + 1 + chosen : chosen;
        for (int layer = 0; layer < layers; layer++)
        {
            string name = $"{Root}encoder.layers.{layer}.";
            hidden += VisionAttention(LayerNorm(hidden, name + "layer_norm1"), name + "self_attn.");
            Tensor wide = Linear(LayerNorm(hidden, name + "layer_norm2"), name + "mlp.fc1");
            wide = _config.VisionActivation == Activation.Gelu ? nn.functional.gelu(wide) : wide * sigmoid(1.702 * wide);
            hidden += Linear(wide, name + "mlp.fc2");
        }
        return _config.VisionKeepClassToken ? hidden : hidden.slice(1, 1, hidden.shape[1], 1);
    }

    // [N,L,Dv] → [N,L,D]
    public Tensor Project(Tensor features)
    {
        if (_config.Projector != ProjectorKind.Mlp)
        {
            return _config.Projector == ProjectorKind.Linear ? Linear(features, "projector") : features;
        }
        Tensor hidden = Linear(features, "projector.0");
        for (int index = 1; index < _config.ProjectorDepth; index++)
        {
            hidden = Linear(nn.functional.gelu(hidden), $"projector.{2 * index}");
        }
        return hidden;
    }

    // → [T,V]
    public Tensor Logits(PackedBatch batch)
    {
        Tensor embedded = this["embed.weight"].index_select(0, tensor(batch.Tokens.ToArray(), ScalarType.Int64)); // [T,D]
        if (batch.Pixels.Length > 0)
        {
            Tensor rows = Project(Vision(Pixels(batch))).reshape(-1, _config.Hidden); // [N·L,D]
            int[] slots = batch.ImageSlots.ToArray();
            long[] kept = [.. Enumerable.Range(0, slots.Length).Where(row => slots[row] >= 0).Select(row => (long)row)];
            Tensor places = tensor(kept.Select(row => (long)slots[row]).ToArray());
            embedded = embedded.index_copy(0, places, rows.index_select(0, tensor(kept)));
        }
        int[] starts = batch.CuSeqlens.ToArray();
        Tensor[] samples = [.. Enumerable.Range(0, batch.SampleCount).Select(sample => Decode(
            embedded.slice(0, starts[sample], starts[sample + 1], 1),
            tensor(batch.Positions[starts[sample]..starts[sample + 1]].ToArray(), ScalarType.Float64)))];
        return cat(samples, 0).matmul(this["head.weight"].t());
    }

    public Tensor Pixels(PackedBatch batch) =>
        tensor(batch.Pixels.ToArray(), ScalarType.Float64).reshape(-1, 3, _config.ImageSize, _config.ImageSize);

    /// <summary>Sum of the supervised tokens' cross entropies of each sample: label t is predicted at t-1.</summary>
    public Tensor LossSums(PackedBatch batch)
    {
        Tensor scores = nn.functional.log_softmax(Logits(batch), 1); // [T,V]
        int[] labels = batch.Labels.ToArray(), starts = batch.CuSeqlens.ToArray();
        List<Tensor> sums = [];
        for (int sample = 0; sample < batch.SampleCount; sample++)
        {
            Tensor sum = zeros(1, ScalarType.Float64);
            for (int token = starts[sample] + 1; token < starts[sample + 1]; token++)
            {
                if (labels[token] != PackedBatch.IgnoreLabel)
                {
                    sum -= scores[token - 1, labels[token]];
                }
            }
            sums.Add(sum);
        }
        return cat(sums, 0); // [B]
    }

    private Tensor this[string name] => Parameters[name];

    private Tensor Linear(Tensor input, string name) => nn.functional.linear(input, this[name + ".weight"], this[name + ".bias"]);

    private Tensor LayerNorm(Tensor input, string name) =>
        nn.functional.layer_norm(input, [input.shape[^1]], this[name + ".weight"], this[name + ".bias"], _config.VisionNormEps);

    private Tensor RmsNorm(Tensor input, string name) =>
        input * rsqrt(input.square().mean([-1], keepdim: true) + _config.NormEps) * this[name + ".weight"];

    private Tensor VisionAttention(Tensor input, string name) // [N,1+P,Dv]
    {
        Tensor Heads(string part) => Linear(input, name + part)
            .reshape(input.shape[0], input.shape[1], _config.VisionHeads, -1).transpose(1, 2); // [N,H,1+P,Dv/H]
        Tensor query = Heads("q_proj");
        Tensor weights = softmax(query.matmul(Heads("k_proj").transpose(2, 3)) / Math.Sqrt(query.shape[^1]), -1);
        return Linear(weights.matmul(Heads("v_proj")).transpose(1, 2).reshape(input.shape), name + "out_proj");
    }

    // One sample: [T,D] embeddings and [T] positions → [T,D], normalised.
    private Tensor Decode(Tensor hidden, Tensor positions)
    {
        long length = hidden.shape[0];
        int size = _config.HeadDim;
        Tensor frequencies = pow(_config.RopeTheta, -arange(0, size, 2, ScalarType.Float64) / size); // [size/2]
        frequencies = frequencies.to(_config.RopeType == ElementType.BFloat16 ? ScalarType.BFloat16 : ScalarType.Float32)
            .to(ScalarType.Float64);
        Tensor angles = outer(positions, frequencies);
        Tensor both = cat([angles, angles], 1); // [T,size]
        Tensor future = ones([length, length], ScalarType.Bool).triu(1);

        Tensor Heads(Tensor input, string name, int heads) =>
            input.matmul(this[name].t()).reshape(length, heads, size).transpose(0, 1); // [heads,T,size]
        Tensor Rotate(Tensor heads)
        {
            Tensor turned = cat([-heads.slice(2, size / 2, size, 1), heads.slice(2, 0, size / 2, 1)], 2);
            return (heads * both.cos()) + (turned * both.sin());
        }

        for (int layer = 0; layer < _config.Layers; layer++)
        {
            string name = $"layer.{layer}.";
            Tensor input = RmsNorm(hidden, name + "input_layernorm");
            int group = _config.Heads / _config.KvHeads;
            Tensor query = Rotate(Heads(input, name + "self_attn.q_proj.weight", _config.Heads));
            Tensor key = Rotate(Heads(input, name + "self_attn.k_proj.weight", _config.KvHeads)).repeat_interleave(group, 0);
            Tensor value = Heads(input, name + "self_attn.v_proj.weight", _config.KvHeads).repeat_interleave(group, 0);
            Tensor scores = (query.matmul(key.transpose(1, 2)) / Math.Sqrt(size)).masked_fill(future, double.NegativeInfinity);
            Tensor mixed = softmax(scores, -1).matmul(value).transpose(0, 1).reshape(length, -1);
            hidden += mixed.matmul(this[name + "self_attn.o_proj.weight"].t());

            input = RmsNorm(hidden, name + "post_attention_layernorm");
            Tensor gate = nn.functional.silu(input.matmul(this[name + "mlp.gate_proj.weight"].t()));
            Tensor wide = gate * input.matmul(this[name + "mlp.up_proj.weight"].t());
            hidden += wide.matmul(this[name + "mlp.down_proj.weight"].t());
        }
        return RmsNorm(hidden, "head.norm");
    }
}
