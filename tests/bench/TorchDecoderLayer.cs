using LlavaSharp.Interop;
using TorchSharp;
using static TorchSharp.torch;

namespace LlavaSharp.Bench;

/// <summary>One layer of the LLaMA decoder.</summary>
internal sealed class TorchDecoderLayer : nn.Module<Tensor, Tensor, Tensor, Tensor, Tensor>
{
    private readonly TorchRmsNorm _norm1, _norm2;
    private readonly nn.Module<Tensor, Tensor> _query, _key, _value, _out, _gate, _up, _down;
    private readonly int _heads, _size;

    public TorchDecoderLayer(TorchParts parts, ModelConfig config, int layer)
        : base("decoder_layer")
    {
        string name = $"layer.{layer}.";
        int width = config.Hidden;
        (_heads, _size) = (config.Heads, config.HeadDim);
        _norm1 = new(parts, name + "input_layernorm", width, config.NormEps);
        _norm2 = new(parts, name + "post_attention_layernorm", width, config.NormEps);
        _query = parts.Linear(name + "self_attn.q_proj", width, _heads * _size, bias: false);
        _key = parts.Linear(name + "self_attn.k_proj", width, _heads * _size, bias: false);
        _value = parts.Linear(name + "self_attn.v_proj", width, _heads * _size, bias: false);
        _out = parts.Linear(name + "self_attn.o_proj", _heads * _size, width, bias: false);
        _gate = parts.Linear(name + "mlp.gate_proj", width, config.Intermediate, bias: false);
        _up = parts.Linear(name + "mlp.up_proj", width, config.Intermediate, bias: false);
        _down = parts.Linear(name + "mlp.down_proj", config.Intermediate, width, bias: false);
        RegisterComponents();
    }

    // [B,T,D] hidden, [T,size] cosines and sines, [B,1,T,T] whether a place is seen → [B,T,D]
    public override Tensor forward(Tensor hidden, Tensor cosines, Tensor sines, Tensor seen)
    {
        using DisposeScope scope = NewDisposeScope();
        long samples = hidden.shape[0], length = hidden.shape[1];
        Tensor Heads(Tensor rows) => rows.view(samples, length, _heads, _size).transpose(1, 2); // [B,heads,T,size]
        Tensor Rotate(Tensor heads)
        {
            Tensor turned = cat([-heads.slice(3, _size / 2, _size, 1), heads.slice(3, 0, _size / 2, 1)], 3);
            return (heads * cosines) + (turned * sines);
        }

        Tensor input = _norm1.call(hidden);
        Tensor mixed = nn.functional.scaled_dot_product_attention(
            Rotate(Heads(_query.call(input))), Rotate(Heads(_key.call(input))), Heads(_value.call(input)), seen);
        hidden = hidden + _out.call(mixed.transpose(1, 2).reshape(samples, length, _heads * _size));
        input = _norm2.call(hidden);
        Tensor wide = nn.functional.silu(_gate.call(input)) * _up.call(input);
        return (hidden + _down.call(wide)).MoveToOuterDisposeScope();
    }
}
