using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlavaSharp.Bench;

/// <summary>PEFT's arithmetic around a frozen linear: y = Wx + α/r · B(A(dropout(x))).</summary>
internal sealed class TorchLora : nn.Module<Tensor, Tensor>
{
    public const int Rank = 128;
    public const double Alpha = 256;

    private readonly Linear _base, _down, _up;
    private readonly Dropout _dropout;

    public TorchLora(TorchParts parts, string name, Linear @base, long inputs, long outputs)
        : base("lora")
    {
        _base = @base;
        _down = nn.Linear(inputs, Rank, hasBias: false);
        _up = nn.Linear(Rank, outputs, hasBias: false);
        _dropout = nn.Dropout(0.05);
        nn.init.zeros_(_up.weight!);
        parts.Add(name + ".lora_A.weight", _down.weight!);
        parts.Add(name + ".lora_B.weight", _up.weight!);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using DisposeScope scope = NewDisposeScope();
        return (_base.call(input) + (_up.call(_down.call(_dropout.call(input))) * (Alpha / Rank))).MoveToOuterDisposeScope();
    }
}
