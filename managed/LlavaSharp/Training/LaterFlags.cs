namespace LlavaSharp.Training;

/// <summary>
/// Flags of the recipe for what this build does not do. They are not "unknown": the message says what is missing,
/// and a value that switches the thing off is accepted.
/// </summary>
internal static class LaterFlags
{
    private static readonly Dictionary<string, (string What, string[] Off)> Known = new(StringComparer.Ordinal)
    {
        ["lora_enable"] = ("LoRA", ["False"]),
        ["lora_r"] = ("LoRA", []),
        ["lora_alpha"] = ("LoRA", []),
        ["lora_dropout"] = ("LoRA", []),
        ["lora_bias"] = ("LoRA", []),
        ["lora_weight_path"] = ("LoRA", []),
        ["bits"] = ("quantised training", ["16"]),
        ["double_quant"] = ("quantised training", ["True", "False"]),
        ["quant_type"] = ("quantised training", []),
        ["deepspeed"] = ("training in several processes", []),
        ["use_habana"] = ("Gaudi", ["False"]),
        ["use_lazy_mode"] = ("Gaudi", ["False"]),
        ["use_hpu_graphs_for_training"] = ("Gaudi", ["False"]),
        ["pad_max"] = ("static shapes, which only Gaudi needs (batches here are packed),", ["False"]),
        ["image_grid_pinpoints"] = ("anyres images", []),
        ["cache_dir"] = ("downloading models", []),
        ["trust_remote_code"] = ("running a checkpoint's own code", ["False"]),
        ["use_auth_token"] = ("downloading models", ["False"]),
        ["mpt_attn_impl"] = ("MPT", []),
    };

    public static IEnumerable<string> Names => Known.Keys;

    public static bool Contains(string name) => Known.ContainsKey(name);

    /// <exception cref="UserErrorException">The value asks for what is missing.</exception>
    public static void Check(string name, string? value)
    {
        var (what, off) = Known[name];
        if (!off.Contains(value ?? "True", StringComparer.OrdinalIgnoreCase))
        {
            throw new UserErrorException($"--{name}{(value is null ? "" : " " + value)}: {what} is not in this build yet; leave the flag out");
        }
    }
}
