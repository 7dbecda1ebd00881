using System.Diagnostics.CodeAnalysis;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Lora;

/// <summary>PEFT's spelling of an adapter's keys: <c>base_model.model.</c>, the module's name in the wrapped model, and what of the
/// adapter it is. Files leave the adapter's own name out; a state dict of a model in memory has it (<c>.default</c>).</summary>
internal static class AdapterNames
{
    private const string Prefix = "base_model.model.", Weight = ".weight";

    private static readonly (string Stored, string Canonical)[] Parts =
    [
        (".lora_A.weight", LoraTargets.DownSuffix), (".lora_A.default.weight", LoraTargets.DownSuffix),
        (".lora_B.weight", LoraTargets.UpSuffix), (".lora_B.default.weight", LoraTargets.UpSuffix),
        (".lora_magnitude_vector", LoraTargets.MagnitudeSuffix), (".lora_magnitude_vector.weight", LoraTargets.MagnitudeSuffix),
        (".lora_magnitude_vector.default.weight", LoraTargets.MagnitudeSuffix),
    ];

    /// <summary>The canonical name of a key: an adapter's parameter, or a whole parameter saved beside it.</summary>
    internal static bool TryToCanonical(string key, [NotNullWhen(true)] out string? name)
    {
        string bare = key.StartsWith(Prefix, StringComparison.Ordinal) ? key[Prefix.Length..] : key;
        foreach ((string stored, string canonical) in Parts)
        {
            if (bare.EndsWith(stored, StringComparison.Ordinal))
            {
                name = ParameterNames.TryToCanonical(bare[..^stored.Length] + Weight, out string? weight)
                    ? weight[..^Weight.Length] + canonical : null;
                return name is not null;
            }
        }

        // modules_to_save keeps copies of whole modules under a name of its own; an adapted module's own bias (bias "all") lies under
        // base_layer.
        return ParameterNames.TryToCanonical(
            bare.Replace(".modules_to_save.default.", ".", StringComparison.Ordinal)
                .Replace(".modules_to_save.", ".", StringComparison.Ordinal).Replace(".base_layer.", ".", StringComparison.Ordinal),
            out name);
    }

    /// <summary>The key of an adapter's parameter, or of a whole one, in the original LLaVA model under PEFT.</summary>
    internal static string FromCanonical(string name)
    {
        string? suffix = new[] { LoraTargets.DownSuffix, LoraTargets.UpSuffix, LoraTargets.MagnitudeSuffix }
            .FirstOrDefault(s => name.EndsWith(s, StringComparison.Ordinal));
        return Prefix + (suffix is null
            ? ParameterNames.FromCanonical(name, ParameterNaming.Llava)
            : ParameterNames.FromCanonical(name[..^suffix.Length] + Weight, ParameterNaming.Llava)[..^Weight.Length] + suffix);
    }
}
