using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>An engine's parameters, read out one at a time as float32 into one buffer.</summary>
/// <param name="model">Borrowed: it must outlive the source.</param>
public sealed class ModelParameterSource(Model model) : IParameterSource
{
    private readonly Dictionary<string, ParameterInfo> _table = model.Parameters.ToDictionary(p => p.Name);
    private float[] _buffer = [];

    /// <inheritdoc/>
    public bool TryGet(string canonicalName, out TensorType type, out long[] shape, out LongBytes bytes)
    {
        type = TensorType.F32;
        shape = [];
        bytes = default;
        if (!_table.TryGetValue(canonicalName, out ParameterInfo? parameter))
        {
            return false;
        }

        if (_buffer.Length < parameter.Count)
        {
            _buffer = new float[parameter.Count];
        }

        Span<float> values = _buffer.AsSpan(0, (int)parameter.Count);
        model.Read(canonicalName, values);
        shape = parameter.Shape;
        bytes = LongBytes.Of(values);
        return true;
    }

    /// <inheritdoc/>
    public string Describe(string canonicalName) => $"the model's {canonicalName}";
}
