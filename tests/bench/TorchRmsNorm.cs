using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlavaSharp.Bench;

/// <summary>x / √(mean x² + ε) · w.</summary>
internal sealed class TorchRmsNorm : nn.Module<Tensor, Tensor>
{
    private readonly Parameter _weight;
    private readonly double _epsilon;

    public TorchRmsNorm(TorchParts parts, string name, long width, double epsilon)
        : base("rms_norm")
    {
        (_weight, _epsilon) = (parts.Parameter(name + ".weight", ones(width)), epsilon);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using DisposeScope scope = NewDisposeScope();
        return (input * rsqrt(input.square().mean([-1], keepdim: true) + _epsilon) * _weight).MoveToOuterDisposeScope();
    }
}
