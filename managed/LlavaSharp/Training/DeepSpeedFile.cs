using System.Globalization;

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

    // Loss scales are for 16-bit floats, of which there are none here.
    private static readonly string[] Fp16Keys =
    [
        "enabled", "auto_cast", "loss_scale", "initial_scale_power", "loss_scale_window", "hysteresis", "consecutive_hysteresis",
        "min_loss_scale",
    ];

    private readonly int _world;
    private readonly string _path;
    private readonly UserJson _json;
    private readonly List<string> _notes = [];

    private DeepSpeedFile(string path, int world) => (_path, _world, _json) = (path, world, UserJson.Read("--deepspeed", path));

    private string Name => Path.GetFileName(_path);

    /// <summary>Applies a file to the options.</summary>
    /// <param name="options">What the flags gave; DeepSpeed is the file.</param>
    /// <param name="given">Names of the flags that were given.</param>
    /// <param name="world">Processes.</param>
    /// <returns>The options, and lines about what happens instead of what the file asks for.</returns>
    /// <exception cref="UserErrorException">The file cannot be read, a value is of another kind than its key takes, or a number disagrees
    /// with its flag.</exception>
    public static (TrainOptions Options, IReadOnlyList<string> Notes) Apply(TrainOptions options, IReadOnlySet<string> given, int world = 1)
    {
        var file = new DeepSpeedFile(options.DeepSpeed!, world);
        file.Unknown(file._json, TopKeys);
        file.Precision("fp16", Fp16Keys);
        file.Precision("bf16", ["enabled"]);
        file.Sizes(options);
        options = file.Zero(options, given);
        file.Optimizer(options);
        file.Scheduler(options);
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

    private void Precision(string name, string[] keys)
    {
        if (_json.Section(name, ", such as {\"enabled\": true}") is not { } section)
        {
            return;
        }

        Unknown(section, keys);
        if (section.Boolean("enabled") == true)
        {
            _notes.Add($"{Name}: {name} is on; this build computes in float32");
        }
    }

    private TrainOptions Zero(TrainOptions options, IReadOnlySet<string> given)
    {
        var zero = _json.Section("zero_optimization", ", such as {\"stage\": 2}");
        string[] idle = [.. TopWithoutEffect.Where(_json.Asks), .. WithoutEffect.Where(key => zero?.Asks(key) == true)];
        if (zero is null)
        {
            NoteIdle(idle);
            return options;
        }

        Unknown(zero, ZeroKeys);
        var stage = zero.Whole("stage", 0, 3) ?? 0;
        if (_world == 1)
        {
            _notes.Add(string.Create(
                CultureInfo.InvariantCulture, $"{Name}: ZeRO stage {stage} in one process: nothing is divided; the numbers are the same"));
        }

        foreach (var key in (string[])["stage3_gather_16bit_weights_on_model_save", "gather_16bit_weights_on_model_save"])
        {
            if (zero.Boolean(key) == false)
            {
                _notes.Add($"{Name}: {key} is false: the result is written whole all the same, and each checkpoint in shards");
            }
        }

        NoteIdle(idle);
        options = DeepSpeedOffload.Apply(options, zero, Name, (int)stage, _world, _notes);

        // "auto" is resolved from the width of the model there, by the default here.
        var bucket = zero.Whole("reduce_bucket_size", 1);
        var fetch = zero.Whole("stage3_prefetch_bucket_size", 0);
        var gather = zero.Whole("allgather_bucket_size", 1);
        var overlap = zero.Boolean("overlap_comm");
        return options with
        {
            ZeroStage = given.Contains("zero") ? options.ZeroStage : (int)stage,
            ZeroBucket = given.Contains("zero_bucket") ? options.ZeroBucket : bucket ?? options.ZeroBucket,
            ZeroGatherBucket = gather ?? options.ZeroGatherBucket,
            ZeroPrefetch = given.Contains("zero_prefetch") ? options.ZeroPrefetch : fetch == 0 ? 0 : options.ZeroPrefetch,
            ZeroOverlap = given.Contains("zero_overlap") ? options.ZeroOverlap : overlap != false,
        };
    }

    private void NoteIdle(string[] idle)
    {
        if (idle.Length > 0)
        {
            _notes.Add($"{Name}: no effect here: {string.Join(", ", idle)}");
        }
    }

    private void Optimizer(TrainOptions options)
    {
        if (_json.Section("optimizer", ", such as {\"type\": \"AdamW\"}") is not { } optimizer)
        {
            return;
        }

        Unknown(optimizer, ["type", "params"]);
        if (optimizer.Text("type") is { } type && !type.Equals("AdamW", StringComparison.OrdinalIgnoreCase)
            && !type.Equals("Adam", StringComparison.OrdinalIgnoreCase))
        {
            throw _json.Error($"optimizer.type {type}: this build has AdamW");
        }

        if (optimizer.Section("params") is { } values)
        {
            Unknown(values, ["lr", "betas", "eps", "weight_decay", "torch_adam"]);
            Agree(values, "lr", options.LearningRate, "learning_rate");
            Agree(values, "eps", options.AdamEpsilon, "adam_epsilon");
            Agree(values, "weight_decay", options.WeightDecay, "weight_decay");
            var betas = values.Pair("betas");
            Agree("betas[0]", betas?.First, options.AdamBeta1, "adam_beta1");
            Agree("betas[1]", betas?.Second, options.AdamBeta2, "adam_beta2");
        }
    }

    private void Scheduler(TrainOptions options)
    {
        if (_json.Section("scheduler", ", such as {\"type\": \"WarmupLR\"}") is not { } scheduler)
        {
            return;
        }

        Unknown(scheduler, ["type", "params"]);
        scheduler.Section("params");
        if (scheduler.Text("type") is { } type)
        {
            _notes.Add($"{Name}: scheduler {type}: --lr_scheduler_type {options.LrSchedulerType} decides instead");
        }
    }

    // Hugging Face leaves clipping to DeepSpeed, which clips only where the file says so: the published files do not.
    private TrainOptions Clipping(TrainOptions options, IReadOnlySet<string> given)
    {
        if (!_json.Has("gradient_clipping") && !given.Contains("max_grad_norm"))
        {
            _notes.Add($"{Name}: no gradient_clipping, so the run does not clip, as under DeepSpeed; --max_grad_norm 1 would");
            return options with { MaxGradNorm = 0 };
        }

        Agree(_json, "gradient_clipping", options.MaxGradNorm, "max_grad_norm");
        return options;
    }

    private void Agree(UserJson json, string key, double flag, string name) => Agree(key, json.Number(key), flag, name);

    private void Agree(string key, double? value, double flag, string name)
    {
        if (value is { } number && number != flag)
        {
            throw _json.Error(string.Create(
                CultureInfo.InvariantCulture, $"{key} is {number}, but --{name} is {flag}; make them agree, or write \"auto\""));
        }
    }

    private void Unknown(UserJson json, string[] known)
    {
        string[] unknown = [.. json.Keys.Where(k => !known.Contains(k)).Select(json.NameOf)];
        if (unknown.Length > 0)
        {
            _notes.Add($"{Name}: not known here, and without effect: {string.Join(", ", unknown)}");
        }
    }
}
