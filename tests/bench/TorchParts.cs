using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlavaSharp.Bench;

/// <summary>What the layers are made of: TorchSharp's own modules, each known by the engine's name of its parameter.</summary>
/// <param name="trainable">Whether a parameter of that name collects gradients.</param>
/// <param name="adapt">Whether linears of the decoder get an adapter.</param>
internal sealed class TorchParts(Func<string, bool> trainable, bool adapt)
{
    /// <summary>Every parameter by the engine's name.</summary>
    public Dictionary<string, Parameter> Parameters { get; } = [];

    public nn.Module<Tensor, Tensor> Linear(string name, long inputs, long outputs, bool bias)
    {
        Linear linear = nn.Linear(inputs, outputs, bias);
        Add(name + ".weight", linear.weight!);
        if (bias)
        {
            Add(name + ".bias", linear.bias!);
        }

        return adapt && name.StartsWith("layer.", StringComparison.Ordinal) ? new TorchLora(this, name, linear, inputs, outputs) : linear;
    }

    public LayerNorm LayerNorm(string name, long width, double epsilon)
    {
        LayerNorm norm = nn.LayerNorm(width, epsilon);
        Add(name + ".weight", norm.weight!);
        Add(name + ".bias", norm.bias!);
        return norm;
    }

    public Parameter Parameter(string name, Tensor value)
    {
        Parameter parameter = new(value);
        Add(name, parameter);
        return parameter;
    }

    public Parameter Add(string name, Parameter parameter)
    {
        parameter.requires_grad = trainable(name);
        Parameters.Add(name, parameter);
        return parameter;
    }
}
