using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlavaSharp.Training;

/// <summary>
/// Reads a DeepSpeed configuration as Hugging Face's trainer does: "auto" follows the flags, a number must agree with its flag,
/// gradient_clipping decides whether the run clips, and stage, bucket and overlap say how processes divide the state.
/// </summary>
internal sealed class DeepSpeedFile
{
    // How gradients lie, which collectives move them and how many parameters stay whole is the plan's to decide here.
    private static readonly string[] TopWithoutEffect =
    [
        "steps_per_print", "wall_clock_breakdown", "zero_allow_untested_optimizer", "communication_data_type", "prescale_gradients",
        "zero_force_ds_cpu_optimizer",
    ];

    private static readonly string[] TopKeys =
    [
        "fp16", "bf16", "train_micro_batch_size_per_gpu", "train_batch_size", "gradient_accumulation_steps", "gradient_clipping",
        "zero_optimization", "optimizer", "scheduler", .. TopWithoutEffect,
    ];

    private static readonly string[] WithoutEffect =
    [
        "contiguous_gradients", "allgather_partitions", "reduce_scatter", "sub_group_size", "stage3_param_persistence_threshold",
        "stage3_max_live_parameters", "stage3_max_reuse_distance", "round_robin_gradients", "ignore_unused_parameters",
    ];

    private static readonly string[] ZeroKeys =
    [
        "stage", "overlap_comm", "allgather_bucket_size", "reduce_bucket_size", "stage3_prefetch_bucket_size",
        "stage3_gather_16bit_weights_on_model_save", "gather_16bit_weights_on_model_save", "offload_optimizer", "offload_param",
        .. WithoutEffect,
    ];

    // Of the sections beside zero_optimization. Loss scales are for 16-bit floats, of which there are none here.
    private static readonly Dictionary<string, string[]> Sections = new(StringComparer.Ordinal)
    {
        ["fp16"] =
        [
            "enabled", "auto_cast", "loss_scale", "initial_scale_power", "loss_scale_window", "hysteresis", "consecutive_hysteresis",
            "min_loss_scale",
        ],
        ["bf16"] = ["enabled"],
        ["optimizer"] = ["type", "params"],
        ["optimizer.params"] = ["lr", "betas", "eps", "weight_decay", "torch_adam"],
        ["scheduler"] = ["type", "params"],
    };

    private readonly int _world;
    private readonly string _path;
    private readonly JsonObject _json;
    private readonly List<string> _notes = [];

    private DeepSpeedFile(string path, int world)
    {
        (_path, _world) = (path, world);
        try
        {
            JsonDocumentOptions lenient = new() { CommentHandling = JsonCommentHandling.Skip };
            _json = JsonNode.Parse(File.ReadAllBytes(path), documentOptions: lenient) as JsonObject
                ?? throw new UserErrorException($"--deepspeed {path}: not a JSON object");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"--deepspeed {path} cannot be read: {e.Message}", e);
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"--deepspeed {path}: {e.Message}", e);
        }
    }

    /// <summary>Applies a file to the options.</summary>
    /// <param name="options">What the flags gave; DeepSpeed is the file.</param>
    /// <param name="given">Names of the flags that were given.</param>
    /// <param name="world">Processes.</param>
    /// <returns>The options, and lines about what happens instead of what the file asks for.</returns>
    /// <exception cref="UserErrorException">The file cannot be read, or a number in it disagrees with its flag.</exception>
    public static (TrainOptions Options, IReadOnlyList<string> Notes) Apply(TrainOptions options, IReadOnlySet<string> given, int world = 1)
    {
        var file = new DeepSpeedFile(options.DeepSpeed!, world);
        file.Unknown(file._json, "", TopKeys);
        foreach (var (section, keys) in Sections)
        {
            JsonNode? node = file._json;
            foreach (var part in section.Split('.'))
            {
                node = (node as JsonObject)?[part];
            }

            if (node is JsonObject inner)
            {
                file.Unknown(inner, section + ".", keys);
            }
        }

        file.Sizes(options);
        file.Precision();
        options = file.Zero(options, given);
        file.Optimizer(options);
        return (file.Clipping(options, given), file._notes);
    }

    private void Sizes(TrainOptions options)
    {
        Agree(_json, "train_micro_batch_size_per_gpu", options.PerDeviceTrainBatchSize, "per_device_train_batch_size");
        Agree(_json, "gradient_accumulation_steps", options.GradientAccumulationSteps, "gradient_accumulation_steps");
        var processes = _world == 1 ? "in one process," : $"times {_world} processes,";
        Agree(_json, "train_batch_size", options.PerDeviceTrainBatchSize * (double)options.GradientAccumulationSteps * _world,
            $"per_device_train_batch_size times --gradient_accumulation_steps, {processes}");
    }

    private void Precision()
    {
        foreach (var name in (string[])["fp16", "bf16"])
        {
            if (_json[name]?["enabled"] is JsonValue value && value.TryGetValue(out bool on) && on)
            {
                _notes.Add($"{Name}: {name} is on; this build computes in float32");
            }
        }
    }

    private TrainOptions Zero(TrainOptions options, IReadOnlySet<string> given)
    {
        if (_json["zero_optimization"] is not JsonObject zero)
        {
            return options;
        }

        Unknown(zero, "zero_optimization.", ZeroKeys);
        var stage = Whole(zero, "stage", 0, 3) ?? 0;
        if (_world == 1)
        {
            _notes.Add($"{Name}: ZeRO stage {zero["stage"]?.ToJsonString() ?? "0"} in one process: nothing is divided; the numbers are the same");
        }

        foreach (var key in (string[])["stage3_gather_16bit_weights_on_model_save", "gather_16bit_weights_on_model_save"])
        {
            if (zero[key]?.ToJsonString() == "false")
            {
                _notes.Add($"{Name}: {key} is false: the result is written whole all the same, and each checkpoint in shards");
            }
        }

        string[] idle = [.. TopWithoutEffect.Where(Asks(_json)), .. WithoutEffect.Where(Asks(zero))];
        if (idle.Length > 0)
        {
            _notes.Add($"{Name}: no effect here: {string.Join(", ", idle)}");
        }

        options = DeepSpeedOffload.Apply(options, zero, $"--deepspeed {_path}", Name, (int)stage, _world, _notes);

        // "auto" is resolved from the width of the model there, by the default here.
        var bucket = Whole(zero, "reduce_bucket_size", 1, long.MaxValue);
        var fetch = Whole(zero, "stage3_prefetch_bucket_size", 0, long.MaxValue);
        return options with
        {
            ZeroStage = given.Contains("zero") ? options.ZeroStage : (int)stage,
            ZeroBucket = given.Contains("zero_bucket") ? options.ZeroBucket : bucket ?? options.ZeroBucket,
            ZeroGatherBucket = Whole(zero, "allgather_bucket_size", 1, long.MaxValue) ?? options.ZeroGatherBucket,
            ZeroPrefetch = given.Contains("zero_prefetch") ? options.ZeroPrefetch : fetch == 0 ? 0 : options.ZeroPrefetch,
            ZeroOverlap = given.Contains("zero_overlap") ? options.ZeroOverlap : zero["overlap_comm"]?.ToJsonString() != "false",
        };
    }

    // What "false" and "auto" leave as it is needs no word.
    private static Func<string, bool> Asks(JsonObject json) => key =>
        json[key] is { } value && value.ToJsonString() is not ("false" or "\"auto\"");

    // A number; null for "auto" and where there is none. DeepSpeed's files write large ones as 5e8.
    private long? Whole(JsonObject json, string key, long low, long high) => json[key] switch
    {
        null => null,
        JsonValue auto when auto.TryGetValue(out string? text) && text == "auto" => null,
        JsonValue number when number.TryGetValue(out double value) && value == Math.Floor(value) && value >= low && value <= high
            => (long)value,
        var other => throw new UserErrorException(string.Create(
            CultureInfo.InvariantCulture, $"--deepspeed {_path}: zero_optimization.{key} is {other.ToJsonString()}: expected a whole number from {low}{(high == long.MaxValue ? "" : $" to {high}")}, or \"auto\"")),
    };

    private void Optimizer(TrainOptions options)
    {
        if (_json["optimizer"] is JsonObject optimizer)
        {
            if (optimizer["type"]?.ToString() is { } type && type is not ("AdamW" or "Adam"))
            {
                throw new UserErrorException($"--deepspeed {_path}: optimizer.type {type}: this build has AdamW");
            }

            if (optimizer["params"] is JsonObject values)
            {
                Agree(values, "lr", options.LearningRate, "learning_rate");
                Agree(values, "eps", options.AdamEpsilon, "adam_epsilon");
                Agree(values, "weight_decay", options.WeightDecay, "weight_decay");
                if (values["betas"] is JsonArray { Count: 2 } betas)
                {
                    Agree(new() { ["betas[0]"] = betas[0]?.DeepClone() }, "betas[0]", options.AdamBeta1, "adam_beta1");
                    Agree(new() { ["betas[1]"] = betas[1]?.DeepClone() }, "betas[1]", options.AdamBeta2, "adam_beta2");
                }
            }
        }

        if (_json["scheduler"]?["type"]?.ToString() is { } scheduler)
        {
            _notes.Add($"{Name}: scheduler {scheduler}: --lr_scheduler_type {options.LrSchedulerType} decides instead");
        }
    }

    // Hugging Face leaves clipping to DeepSpeed, which clips only where the file says so: the published files do not.
    private TrainOptions Clipping(TrainOptions options, IReadOnlySet<string> given)
    {
        if (_json["gradient_clipping"] is null && !given.Contains("max_grad_norm"))
        {
            _notes.Add($"{Name}: no gradient_clipping, so the run does not clip, as under DeepSpeed; --max_grad_norm 1 would");
            return options with { MaxGradNorm = 0 };
        }

        Agree(_json, "gradient_clipping", options.MaxGradNorm, "max_grad_norm");
        return options;
    }

    private string Name => Path.GetFileName(_path);

    private void Agree(JsonObject json, string key, double flag, string name)
    {
        switch (json[key])
        {
            case null:
            case JsonValue auto when auto.TryGetValue(out string? text) && text == "auto":
                return;
            case JsonValue number when number.TryGetValue(out double value) && value == flag:
                return;
            case var other:
                throw new UserErrorException(string.Create(
                    CultureInfo.InvariantCulture,
                    $"--deepspeed {_path}: {key} is {other.ToJsonString()}, but --{name} is {flag}; make them agree, or write \"auto\""));
        }
    }

    private void Unknown(JsonObject json, string prefix, string[] known)
    {
        string[] unknown = [.. json.Select(p => p.Key).Where(k => !known.Contains(k))];
        if (unknown.Length > 0)
        {
            _notes.Add($"{Name}: not known here, and without effect: {string.Join(", ", unknown.Select(k => prefix + k))}");
        }
    }
}
