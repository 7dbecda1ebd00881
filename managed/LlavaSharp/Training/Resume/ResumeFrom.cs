using System.Text.Json.Nodes;
using LlavaSharp.Zero;

namespace LlavaSharp.Training.Resume;

/// <summary>
/// A checkpoint to go on from, chosen and checked before anything is loaded. As in the recipe, an output folder that
/// holds checkpoints is gone on with unless the command says otherwise.
/// </summary>
/// <param name="Folder">The checkpoint.</param>
/// <param name="State">Where the run stood.</param>
/// <param name="Damaged">Newer checkpoints of the output folder that were passed over, with what is wrong with each.</param>
public sealed record ResumeFrom(string Folder, RunState State, IReadOnlyList<(string Folder, string Damage)> Damaged)
{
    // What decides which sample comes when, or what a draw gives: with another value the state's cursor means nothing.
    private static readonly string[] Deciding =
    [
        "seed", "per_device_train_batch_size", "gradient_accumulation_steps", "group_by_modality_length", "group_by_length", "sampler",
        "on_bad_sample",
    ];

    // What has no part in the numbers.
    private static readonly string[] Harmless =
    [
        "output_dir", "overwrite_output_dir", "resume", "threads", "dataloader_num_workers", "logging_steps", "save_steps", "save_strategy",
        "save_total_limit", "data_path", "image_folder", "model_name_or_path", "vision_tower", "pretrain_mm_mlp_adapter", "dry_run", "peak_tflops",
        "gradient_checkpointing", "memory_limit", "zero", "zero_prefetch", "zero_bucket", "zero_overlap", "ddp_timeout", "on_nan",
    ];

    /// <summary>The checkpoint's name for messages, such as checkpoint-40.</summary>
    public string Name => Path.GetFileName(Path.TrimEndingDirectorySeparator(Folder));

    /// <summary>Micro-batches that each process has behind it, counted as this run's processes and batches count.</summary>
    /// <param name="options">The flags of now.</param>
    /// <returns>The data cursor.</returns>
    /// <exception cref="UserErrorException">The samples seen so far are no whole number of this run's micro-batches.</exception>
    public long MicroBatches(TrainOptions options)
    {
        if (State.World == options.Place.World)
        {
            return State.MicroBatches;
        }

        var (whole, rest) = Math.DivRem(State.MicroBatches * State.World, options.Place.World);
        return rest == 0 ? whole : throw new UserErrorException(
            $"{Name} stands after {State.MicroBatches} micro-batches of {State.World} processes, which {options.Place.World} cannot share evenly; "
            + "go on with as many as then, or begin anew with --resume no");
    }

    /// <summary>Chooses the checkpoint that <c>--resume</c> asks for.</summary>
    /// <param name="options">resume, output_dir.</param>
    /// <param name="ranks">The processes of the run, all of which ask: each checks its share of the files. Null: one.</param>
    /// <returns>It, or null to begin anew.</returns>
    /// <exception cref="UserErrorException">A named one is missing, damaged, or not one of ours; or none of several is whole.</exception>
    public static ResumeFrom? Find(TrainOptions options, Ranks? ranks = null)
    {
        ranks ??= Ranks.Single;
        switch (options.Resume)
        {
            case "no":
                return null;
            case "auto":
                return Newest(options.OutputDir!, ranks);
            case var path:
                ranks.Together("finding a checkpoint", () =>
                {
                    if (!Directory.Exists(path))
                    {
                        throw new UserErrorException($"--resume {path} does not exist; name a checkpoint-N folder, or auto");
                    }
                });
                if (CheckpointManifest.FindDamage(path, ranks) is { } damage)
                {
                    throw new UserErrorException($"--resume {path} is damaged: {damage}; name another checkpoint, or auto");
                }

                return new(path, ranks.Together("reading a checkpoint", () => RunState.Read(path)), []);
        }
    }

    /// <summary>Compares the flags of now with those that the checkpoint was made with.</summary>
    /// <param name="options">The flags of now.</param>
    /// <param name="warn">Receives what is different and yet no reason to refuse.</param>
    /// <exception cref="UserErrorException">One that decides what comes next is different.</exception>
    public void CheckFlags(TrainOptions options, Action<string> warn)
    {
        var then = JsonNode.Parse(File.ReadAllBytes(Path.Combine(Folder, ResolvedConfig.FileName)))?["flags"] as JsonObject ?? [];
        var now = ResolvedConfig.FlagsJson(options);
        if (State.World != options.Place.World)
        {
            var same = SameUpdate(then, options);
            warn($"{Name} was made by {State.World} processes, this run has {options.Place.World}: "
                + (same ? "" : $"an update has {(options.Place.World > State.World ? "more" : "fewer")} samples from here on, and ")
                + "the samples that are left of this epoch come in another order");
        }

        foreach (var (name, value) in now.Where(f => !Harmless.Contains(f.Key) && then.ContainsKey(f.Key)))
        {
            var (old, current) = (then[name]?.ToJsonString() ?? "unset", value?.ToJsonString() ?? "unset");
            if (old == current)
            {
                continue;
            }

            if (name == "gradient_accumulation_steps" && State.World != options.Place.World && SameUpdate(then, options))
            {
                continue;
            }

            if (Deciding.Contains(name))
            {
                throw new UserErrorException(
                    $"{Name} was made with --{name} {old}, not {current}: its place in the data means nothing then; "
                    + "give the same value, or begin anew with --resume no");
            }

            warn($"--{name} is {current}, {Name} was made with {old}: from here on the run is another one");
        }
    }

    // Other processes, and as many micro-batches in an update over all of them.
    private bool SameUpdate(JsonObject then, TrainOptions options) =>
        then["gradient_accumulation_steps"]?.GetValue<int>() * State.World == options.GradientAccumulationSteps * options.Place.World;

    private static ResumeFrom? Newest(string output, Ranks ranks)
    {
        var damaged = new List<(string, string)>();
        var folder = new CheckpointStore(output).FindNewest((path, damage) => damaged.Add((path, damage)), ranks);
        return folder is not null ? new(folder, ranks.Together("reading a checkpoint", () => RunState.Read(folder)), damaged)
            : damaged.Count == 0 ? null
            : throw new UserErrorException(
                $"no checkpoint in {output} is whole; the newest, {Path.GetFileName(damaged[0].Item1)}: {damaged[0].Item2}; "
                + "begin anew with --resume no --overwrite_output_dir True");
    }
}
