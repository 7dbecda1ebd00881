using LlavaSharp.Interop;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlavaSharp.Bench;

/// <summary>One layer of CLIP's tower.</summary>
internal sealed class TorchVisionLayer : nn.Module<Tensor, Tensor>
{
    private readonly LayerNorm _norm1, _norm2;
    private readonly nn.Module<Tensor, Tensor> _query, _key, _value, _out, _wide, _narrow;
    private readonly int _heads;

    public TorchVisionLayer(TorchParts parts, ModelConfig config, int layer)
        : base("vision_layer")
    {
        string name = $"vision.encoder.layers.{layer}.";
        int width = config.VisionHidden;
        _heads = config.VisionHeads;
        _norm1 = parts.LayerNorm(name + "layer_norm1", width, config.VisionNormEps);
        _norm2 = parts.LayerNorm(name + "layer_norm2", width, config.VisionNormEps);
        _query = parts.Linear(name + "self_attn.q_proj", width, width, bias: true);
        _key = parts.Linear(name + "self_attn.k_proj", width, width, bias: true);
        _value = parts.Linear(name + "self_attn.v_proj", width, width, bias: true);
        _out = parts.Linear(name + "self_attn.out_proj", width, width, bias: true);
        _wide = parts.Linear(name + "mlp.fc1", width, config.VisionIntermediate, bias: true);
        _narrow = parts.Linear(name + "mlp.fc2", config.VisionIntermediate, width, bias: true);
        RegisterComponents();
    }

    // [N,P,Dv] → [N,P,Dv]
    public override Tensor forward(Tensor hidden)
    {
        using DisposeScope scope = NewDisposeScope();
        long images = hidden.shape[0], places = hidden.shape[1], width = hidden.shape[2];
        Tensor Heads(Tensor rows) => rows.view(images, places, _heads, width / _heads).transpose(1, 2); // [N,heads,P,size]
        Tensor input = _norm1.call(hidden);
        Tensor mixed = nn.functional.scaled_dot_product_attention(
            Heads(_query.call(input)), Heads(_key.call(input)), Heads(_value.call(input)));
        hidden = hidden + _out.call(mixed.transpose(1, 2).reshape(images, places, width));
        Tensor wide = _wide.call(_norm2.call(hidden));
        return (hidden + _narrow.call(wide * sigmoid(1.702 * wide))).MoveToOuterDisposeScope();
    }
}
