namespace LlavaSharp.Training;

/// <summary>
/// offload_optimizer and offload_param of a DeepSpeed file: "cpu" is where this build computes anyway; "nvme" keeps AdamW's moments, and
/// at stage 3 each process's shards of weights, in files of nvme_path that are mapped into memory.
/// </summary>
internal static class DeepSpeedOffload
{
    // Sizes and ways of DeepSpeed's own buffers between device, host and disk, of which there are none here.
    private static readonly string[] Known =
    [
        "device", "nvme_path", "pin_memory", "buffer_count", "buffer_size", "fast_init", "pipeline", "pipeline_read", "pipeline_write",
        "ratio", "max_in_cpu",
    ];

    /// <summary>Reads both.</summary>
    /// <param name="options">Receives folder and what goes there.</param>
    /// <param name="zero">zero_optimization.</param>
    /// <param name="name">The file, for notes.</param>
    /// <param name="stage">ZeRO's.</param>
    /// <param name="world">Processes.</param>
    /// <param name="notes">Receives what happens instead of what the file asks for.</param>
    /// <returns>The options.</returns>
    /// <exception cref="UserErrorException">There is no such device, or no path.</exception>
    public static TrainOptions Apply(
        TrainOptions options, UserJson zero, string name, int stage, int world, List<string> notes)
    {
        var optimizer = Folder(zero, "offload_optimizer", name, notes);
        var weights = Folder(zero, "offload_param", name, notes);
        if (optimizer is not null && weights is not null && optimizer != weights)
        {
            throw zero.Error(
                $"offload_optimizer.nvme_path is {optimizer}, offload_param.nvme_path is {weights}: name one folder for both");
        }

        if (weights is not null && (stage < 3 || world == 1))
        {
            notes.Add($"{name}: offload_param to nvme: weights that are not divided stay in memory");
        }

        return options with
        {
            OffloadFolder = optimizer ?? weights ?? "",
            OffloadOptimizer = optimizer is not null,
            OffloadWeights = weights is not null,
        };
    }

    // Where files go; null where nothing does.
    private static string? Folder(UserJson zero, string key, string name, List<string> notes)
    {
        if (zero.Section(key, " with a device") is not { } json)
        {
            return null;
        }

        string[] unknown = [.. json.Keys.Where(k => !Known.Contains(k)).Select(json.NameOf)];
        if (unknown.Length > 0)
        {
            notes.Add($"{name}: not known here, and without effect: {string.Join(", ", unknown)}");
        }

        switch (json.Text("device") ?? "none")
        {
            case "none":
                return null;
            case "cpu":
                notes.Add($"{name}: {key} to cpu: it is in host memory already, where this build computes");
                return null;
            case "nvme" when json.Text("nvme_path") is { Length: > 0 } folder:
                return Directory.Exists(folder) ? folder : throw zero.Error($"{key}.nvme_path {folder} is no folder: make it, or name another");
            case "nvme":
                throw zero.Error($"{key}.device is nvme, but nvme_path names no folder");
            case var other:
                throw zero.Error($"{key}.device is {other}: expected cpu, nvme or none");
        }
    }
}
