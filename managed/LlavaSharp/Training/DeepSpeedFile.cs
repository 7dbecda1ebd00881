using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlavaSharp.Training;

/// <summary>
/// Reads a DeepSpeed configuration as Hugging Face's trainer does with one process: "auto" follows the flags, a number must agree
/// with its flag, gradient_clipping decides whether the run clips. How DeepSpeed would have divided memory is of no consequence here.
/// </summary>
internal sealed class DeepSpeedFile
{
    private static readonly string[] TopKeys =
    [
        "fp16", "bf16", "train_micro_batch_size_per_gpu", "train_batch_size", "gradient_accumulation_steps", "gradient_clipping",
        "zero_optimization", "optimizer", "scheduler", "steps_per_print", "wall_clock_breakdown", "zero_allow_untested_optimizer",
        "communication_data_type", "prescale_gradients", "zero_force_ds_cpu_optimizer",
    ];

    private static readonly string[] ZeroKeys =
    [
        "stage", "overlap_comm", "contiguous_gradients", "allgather_partitions", "allgather_bucket_size", "reduce_scatter", "sub_group_size",
        "reduce_bucket_size", "stage3_prefetch_bucket_size", "stage3_param_persistence_threshold", "stage3_max_live_parameters",
        "stage3_max_reuse_distance", "stage3_gather_16bit_weights_on_model_save", "gather_16bit_weights_on_model_save", "offload_optimizer",
        "offload_param", "round_robin_gradients", "ignore_unused_parameters",
    ];

    private readonly string _path;
    private readonly JsonObject _json;
    private readonly List<string> _notes = [];

    private DeepSpeedFile(string path)
    {
        _path = path;
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
    /// <returns>The options, and lines about what happens instead of what the file asks for.</returns>
    /// <exception cref="UserErrorException">The file cannot be read, or a number in it disagrees with its flag.</exception>
    public static (TrainOptions Options, IReadOnlyList<string> Notes) Apply(TrainOptions options, IReadOnlySet<string> given)
    {
        var file = new DeepSpeedFile(options.DeepSpeed!);
        file.Unknown(file._json, "", TopKeys);
        file.Sizes(options);
        file.Precision();
        file.Zero();
        file.Optimizer(options);
        return (file.Clipping(options, given), file._notes);
    }

    private void Sizes(TrainOptions options)
    {
        Agree(_json, "train_micro_batch_size_per_gpu", options.PerDeviceTrainBatchSize, "per_device_train_batch_size");
        Agree(_json, "gradient_accumulation_steps", options.GradientAccumulationSteps, "gradient_accumulation_steps");
        Agree(_json, "train_batch_size", options.PerDeviceTrainBatchSize * (double)options.GradientAccumulationSteps,
            "per_device_train_batch_size times --gradient_accumulation_steps, in one process,");
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

    private void Zero()
    {
        if (_json["zero_optimization"] is not JsonObject zero)
        {
            return;
        }

        Unknown(zero, "zero_optimization.", ZeroKeys);
        var offload = zero["offload_optimizer"] is null && zero["offload_param"] is null ? "" : ", nor moved to other memory";
        _notes.Add($"{Name}: ZeRO stage {zero["stage"]?.ToJsonString() ?? "0"} in one process: nothing is divided{offload}; the numbers are the same");
    }

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
