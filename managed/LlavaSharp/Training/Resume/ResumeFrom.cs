using System.Text.Json.Nodes;

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
        "gradient_checkpointing", "memory_limit",
    ];

    /// <summary>The checkpoint's name for messages, such as checkpoint-40.</summary>
    public string Name => Path.GetFileName(Path.TrimEndingDirectorySeparator(Folder));

    /// <summary>Chooses the checkpoint that <c>--resume</c> asks for.</summary>
    /// <param name="options">resume, output_dir.</param>
    /// <returns>It, or null to begin anew.</returns>
    /// <exception cref="UserErrorException">A named one is missing, damaged, or not one of ours; or none of several is whole.</exception>
    public static ResumeFrom? Find(TrainOptions options)
    {
        switch (options.Resume)
        {
            case "no":
                return null;
            case "auto":
                return Newest(options.OutputDir!);
            case var path:
                if (!Directory.Exists(path))
                {
                    throw new UserErrorException($"--resume {path} does not exist; name a checkpoint-N folder, or auto");
                }

                if (CheckpointManifest.FindDamage(path) is { } damage)
                {
                    throw new UserErrorException($"--resume {path} is damaged: {damage}; name another checkpoint, or auto");
                }

                return new(path, RunState.Read(path), []);
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
        foreach (var (name, value) in now.Where(f => !Harmless.Contains(f.Key) && then.ContainsKey(f.Key)))
        {
            var (old, current) = (then[name]?.ToJsonString() ?? "unset", value?.ToJsonString() ?? "unset");
            if (old == current)
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

    private static ResumeFrom? Newest(string output)
    {
        var damaged = new List<(string, string)>();
        var folder = new CheckpointStore(output).FindNewest((path, damage) => damaged.Add((path, damage)));
        return folder is not null ? new(folder, RunState.Read(folder), damaged)
            : damaged.Count == 0 ? null
            : throw new UserErrorException(
                $"no checkpoint in {output} is whole; the newest, {Path.GetFileName(damaged[0].Item1)}: {damaged[0].Item2}; "
                + "begin anew with --resume no --overwrite_output_dir True");
    }
}
