using System.Text.Json.Nodes;

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
    /// <param name="where">The flag and its file, for errors.</param>
    /// <param name="name">The file, for notes.</param>
    /// <param name="stage">ZeRO's.</param>
    /// <param name="world">Processes.</param>
    /// <param name="notes">Receives what happens instead of what the file asks for.</param>
    /// <returns>The options.</returns>
    /// <exception cref="UserErrorException">There is no such device, or no path.</exception>
    public static TrainOptions Apply(
        TrainOptions options, JsonObject zero, string where, string name, int stage, int world, List<string> notes)
    {
        var optimizer = Folder(zero, "offload_optimizer", where, name, notes);
        var weights = Folder(zero, "offload_param", where, name, notes);
        if (optimizer is not null && weights is not null && optimizer != weights)
        {
            throw new UserErrorException(
                $"{where}: offload_optimizer.nvme_path is {optimizer}, offload_param.nvme_path is {weights}: name one folder for both");
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
    private static string? Folder(JsonObject zero, string key, string where, string name, List<string> notes)
    {
        if (zero[key] is not { } value)
        {
            return null;
        }

        if (value is not JsonObject json)
        {
            throw new UserErrorException($"{where}: zero_optimization.{key} is {value.ToJsonString()}: expected an object with a device");
        }

        string[] unknown = [.. json.Select(p => p.Key).Where(k => !Known.Contains(k))];
        if (unknown.Length > 0)
        {
            notes.Add($"{name}: not known here, and without effect: {string.Join(", ", unknown.Select(k => $"zero_optimization.{key}.{k}"))}");
        }

        switch (json["device"] is JsonValue device && device.TryGetValue(out string? text) ? text : "none")
        {
            case "none":
                return null;
            case "cpu":
                notes.Add($"{name}: {key} to cpu: it is in host memory already, where this build computes");
                return null;
            case "nvme" when json["nvme_path"] is JsonValue path && path.TryGetValue(out string? folder) && folder.Length > 0:
                return Directory.Exists(folder) ? folder
                    : throw new UserErrorException($"{where}: {key}.nvme_path {folder} is no folder: make it, or name another");
            case "nvme":
                throw new UserErrorException($"{where}: {key}.device is nvme, but nvme_path names no folder");
            case var other:
                throw new UserErrorException($"{where}: {key}.device is {other}: expected cpu, nvme or none");
        }
    }
}
