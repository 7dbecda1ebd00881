using System.Numerics.Tensors;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Lora;

/// <summary>A model with an adapter merged into it, one parameter at a time as it is asked for: W + s·B·A in float32, with DoRA each
/// row then scaled to its learned length; parameters that trained beside the adapters replace the base's.</summary>
/// <remarks>Arithmetic: PEFT's merge. The product is summed over the rank in order, one output row at a time, so the bytes do not
/// depend on the number of threads.</remarks>
public sealed class MergedSource : IParameterSource
{
    private const string Weight = ".weight";
    private readonly IParameterSource _base;
    private readonly AdapterReader _adapter;
    private readonly Dictionary<string, long[]> _shapes;
    private readonly HashSet<string> _modules;
    private readonly HashSet<string> _replaced;
    private readonly int _sign;
    private float[] _merged = [];

    /// <summary>Compares an adapter with the model that it is to be merged into.</summary>
    /// <param name="model">The base's parameters.</param>
    /// <param name="config">The model's shape.</param>
    /// <param name="adapter">The adapter; borrowed, as the base is.</param>
    /// <param name="unmerge">Whether the model has the adapter in it, and it is to be taken out: W - s·B·A, to rounding. What trained
    /// beside the adapter then stays as the model has it.</param>
    /// <exception cref="UserErrorException">The adapter holds a parameter that the model has not, or one of another shape; or it is
    /// DoRA's and to be taken out, which the lengths that rows had before would be needed for.</exception>
    public MergedSource(IParameterSource model, LlavaConfig config, AdapterReader adapter, bool unmerge = false)
    {
        (_base, _adapter, _sign) = (model, adapter, unmerge ? -1 : 1);
        if (unmerge && adapter.Config.Options.Dora)
        {
            throw new UserErrorException(
                $"'{adapter.Folder}' is DoRA's: how long rows were before it was merged is in no file; keep the base instead");
        }

        _shapes = ParameterTable.Shapes(config).ToDictionary();
        _modules = [.. adapter.Modules];
        _replaced = unmerge ? [] : [.. adapter.Replaced];
        foreach (string name in adapter.Modules.Select(m => m + Weight).Concat(adapter.Replaced))
        {
            if (!_shapes.ContainsKey(name))
            {
                string stored = name.EndsWith(Weight, StringComparison.Ordinal) && _modules.Contains(name[..^Weight.Length])
                    ? name[..^Weight.Length] + LoraTargets.DownSuffix : name;
                string known = adapter.Config.BaseModel is { Length: > 0 } text ? $", {SafetensorsHeader.Quote(text)}" : "";
                throw new UserErrorException(
                    $"{adapter.Describe(stored)} has no place in the model ({name}); the adapter belongs to another base{known}");
            }
        }

        // PEFT adapts embeddings and convolutions by products of other shapes, and norms not at all.
        if (adapter.Modules.FirstOrDefault(m => !LoraTargets.IsLinear(m, _shapes[m + Weight])) is { } other)
        {
            throw new UserErrorException($"{adapter.Describe(other + LoraTargets.DownSuffix)} adapts {other}, which is no linear; only "
                + "linears are adapted here: merge the adapter with PEFT (merge_and_unload) and use the merged model");
        }

        foreach ((string name, long[] shape) in LoraTargets.Parameters(config, adapter.Config.Options, adapter.Modules))
        {
            ParameterCheck.Require(adapter, name, shape, out _, out _);
        }
    }

    /// <inheritdoc/>
    public bool TryGet(string canonicalName, out TensorType type, out long[] shape, out LongBytes bytes)
    {
        if (_replaced.Contains(canonicalName))
        {
            return _adapter.TryGet(canonicalName, out type, out shape, out bytes);
        }

        string module = canonicalName.EndsWith(Weight, StringComparison.Ordinal) ? canonicalName[..^Weight.Length] : "";
        if (!_modules.Contains(module))
        {
            return _base.TryGet(canonicalName, out type, out shape, out bytes);
        }

        (type, shape) = (TensorType.F32, _shapes[canonicalName]);
        bytes = LongBytes.Of(Merge(module, shape));
        return true;
    }

    /// <inheritdoc/>
    public string Describe(string canonicalName) =>
        _replaced.Contains(canonicalName) ? _adapter.Describe(canonicalName) : _base.Describe(canonicalName);

    private ReadOnlySpan<float> Merge(string module, long[] shape)
    {
        int rows = (int)shape[0], columns = (int)shape[1], rank = _adapter.Config.Options.Rank;
        int count = checked(rows * columns);
        if (_merged.Length < count)
        {
            _merged = new float[count];
        }

        float[] merged = _merged;
        ParameterCheck.RequireFinite(_base, module + Weight, shape, out TensorType type, out LongBytes stored);
        TensorConvert.ToFloats(type, stored, 0, merged.AsSpan(0, count));
        float[] down = ParameterExport.Floats(module + LoraTargets.DownSuffix, [rank, columns], _adapter); // [r, in]
        float[] up = ParameterExport.Floats(module + LoraTargets.UpSuffix, [rows, rank], _adapter); // [out, r]
        float[]? lengths = _adapter.Config.Options.Dora
            ? ParameterExport.Floats(module + LoraTargets.MagnitudeSuffix, [rows], _adapter) : null; // [out]
        float scale = _sign * (float)_adapter.Config.Options.Scale;
        Parallel.For(0, rows, () => new float[columns], (row, _, delta) =>
        {
            Array.Clear(delta);
            for (int k = 0; k < rank; k++)
            {
                TensorPrimitives.MultiplyAdd(down.AsSpan(k * columns, columns), up[(row * rank) + k], delta, delta);
            }

            Span<float> weight = merged.AsSpan(row * columns, columns);
            TensorPrimitives.MultiplyAdd(delta, scale, weight, weight);
            // A row of zeros has no direction to be long in.
            if (lengths is not null && TensorPrimitives.Norm<float>(weight) is var norm and > 0)
            {
                TensorPrimitives.Multiply(weight, lengths[row] / norm, weight);
            }

            return delta;
        }, _ => { });
        return merged.AsSpan(0, count);
    }
}
