using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Tests.Checkpoints;

namespace LlavaSharp.Tests.Lora;

/// <summary>An adapter of the tiny model, whose values follow from their names; its projector is not the base's.</summary>
internal sealed class TinyAdapter(LlavaConfig config, AdapterOptions options, IReadOnlyList<string>? modules = null) : IParameterSource
{
    private readonly Dictionary<string, long[]> _shapes = LoraTargets.Parameters(config, options, modules)
        .Concat(ParameterTable.Projector(config)).ToDictionary();

    public static string[] Trainables(LlavaConfig config) => [.. ParameterTable.Projector(config).Select(p => p.Key)];

    public float[] Values(string name) => TinyModel.Values("adapter " + name, _shapes[name].Aggregate(1L, (a, b) => a * b));

    public AdapterExport Export(string baseModel = "tiny-base") => new()
    {
        Config = config,
        Options = options,
        Parameters = this,
        BaseModel = baseModel,
        Modules = modules,
        Trainables = Trainables(config),
    };

    public bool TryGet(string canonicalName, out TensorType type, out long[] shape, out LongBytes bytes)
    {
        type = TensorType.F32;
        bytes = default;
        bool found = _shapes.TryGetValue(canonicalName, out shape!);
        if (found)
        {
            bytes = LongBytes.Of(Values(canonicalName));
        }

        return found;
    }

    public string Describe(string canonicalName) => $"tiny adapter, {canonicalName}";
}
