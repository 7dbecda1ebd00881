using LlavaSharp.Checkpoints;

namespace LlavaSharp.Lora;

/// <summary>Which linears get an adapter: the recipe takes every linear of the model but those of projector and tower, and not the
/// head. Names are canonical and without <c>.weight</c>, such as <c>layer.0.self_attn.q_proj</c>.</summary>
public static class LoraTargets
{
    /// <summary>Last part of a down-projecting matrix's name.</summary>
    public const string DownSuffix = ".lora_A.weight";

    /// <summary>Last part of an up-projecting matrix's name.</summary>
    public const string UpSuffix = ".lora_B.weight";

    /// <summary>Last part of the name of DoRA's row lengths.</summary>
    public const string MagnitudeSuffix = ".lora_magnitude_vector";

    private const string Weight = ".weight";

    /// <summary>The modules that the recipe adapts, in the engine's order.</summary>
    public static IReadOnlyList<string> Find(LlavaConfig config) => [.. ParameterTable.Decoder(config.Text)
        .Where(p => p.Value.Length == 2 && p.Key.StartsWith("layer.", StringComparison.Ordinal)).Select(p => p.Key[..^Weight.Length])];

    /// <summary>Whether a module is a linear: a matrix that no rows are looked up in.</summary>
    internal static bool IsLinear(string module, long[] shape) =>
        shape.Length == 2 && module is not ("embed" or "vision.embeddings.position_embedding");

    /// <summary>The last parts of modules' names, as <c>target_modules</c> of adapter_config.json lists them.</summary>
    public static IReadOnlyList<string> Suffixes(IEnumerable<string> modules) =>
        [.. modules.Select(m => m[(m.LastIndexOf('.') + 1)..]).Distinct().Order(StringComparer.Ordinal)];

    /// <summary>Names and shapes of the adapters' parameters: A [r, in], B [out, r], and with DoRA the lengths [out].</summary>
    /// <param name="config">The model.</param>
    /// <param name="options">The adapters.</param>
    /// <param name="modules">What is adapted; null means what the recipe adapts.</param>
    /// <exception cref="ArgumentException">The model has no such linear.</exception>
    public static IEnumerable<KeyValuePair<string, long[]>> Parameters(
        LlavaConfig config, AdapterOptions options, IEnumerable<string>? modules = null)
    {
        Dictionary<string, long[]> shapes = ParameterTable.Shapes(config).ToDictionary();
        foreach (string module in modules ?? Find(config))
        {
            if (!shapes.TryGetValue(module + Weight, out long[]? shape) || shape.Length != 2)
            {
                throw new ArgumentException($"the model has no linear '{module}'", nameof(modules));
            }

            yield return KeyValuePair.Create(module + DownSuffix, (long[])[options.Rank, shape[1]]);
            yield return KeyValuePair.Create(module + UpSuffix, (long[])[shape[0], options.Rank]);
            if (options.Dora)
            {
                yield return KeyValuePair.Create(module + MagnitudeSuffix, (long[])[shape[0]]);
            }
        }
    }
}
