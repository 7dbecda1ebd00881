using static LlavaSharp.Training.TrainFlag;

namespace LlavaSharp.Training;

/// <summary>
/// The one table of <c>train</c>'s flags: the recipe's own names, so that its scripts port by changing the program's name.
/// Flags of the recipe that belong to what this build does not do yet are in <see cref="LaterFlags"/>.
/// </summary>
public static class TrainFlags
{
    /// <summary>Every flag that this build acts on or accepts, in the order of the help text.</summary>
    public static IReadOnlyList<TrainFlag> All { get; } =
    [
        Text("model_name_or_path", "folder of the language model, or of a LLaVA checkpoint",
            (o, v) => o with { ModelNameOrPath = v }, o => o.ModelNameOrPath),
        Text("vision_tower", "folder of the CLIP tower; not needed for a LLaVA checkpoint",
            (o, v) => o with { VisionTower = v }, o => o.VisionTower),
        Text("version", "conversation template by LLaVA's names: plain (stage 1), v1 (stage 2)",
            (o, v) => o with { Version = v }, o => o.Version),
        Text("template", "the same by the names and texts of Intel's variant: plain, v1",
            (o, v) => o with { Template = v }, o => o.Template),
        Whole("mm_vision_select_layer", int.MinValue, "which hidden state of the tower; -2 unless the checkpoint says otherwise",
            (o, v) => o with { MmVisionSelectLayer = v }, o => o.MmVisionSelectLayer),
        new("mm_vision_select_feature", false, "patch drops the class token, cls_patch keeps it",
            (o, v) => o with { MmVisionSelectFeature = Choice("mm_vision_select_feature", v, "patch", "cls_patch") },
            o => o.MmVisionSelectFeature),
        Text("mm_projector_type", "linear, mlpNx_gelu or identity; mlp2x_gelu unless the checkpoint says otherwise",
            (o, v) => o with { MmProjectorType = v }, o => o.MmProjectorType),
        Text("pretrain_mm_mlp_adapter", "mm_projector.bin of a stage-1 run",
            (o, v) => o with { PretrainMmMlpAdapter = v }, o => o.PretrainMmMlpAdapter),
        Switch("tune_mm_mlp_adapter", "stage 1: train the projector alone",
            (o, v) => o with { TuneMmMlpAdapter = v }, o => o.TuneMmMlpAdapter),
        Switch("freeze_mm_mlp_adapter", "stage 2 with a frozen projector",
            (o, v) => o with { FreezeMmMlpAdapter = v }, o => o.FreezeMmMlpAdapter),
        Text("data_path", "training file in LLaVA's layout: a JSON array, or JSONL", (o, v) => o with { DataPath = v }, o => o.DataPath),
        Text("image_folder", "folder that the samples' image paths start from", (o, v) => o with { ImageFolder = v }, o => o.ImageFolder),
        new("image_aspect_ratio", false, "square (resize, centre crop) or pad",
            (o, v) => o with { ImageAspectRatio = Choice("image_aspect_ratio", v, "square", "pad") }, o => o.ImageAspectRatio),
        Text("output_dir", "where the result, log.jsonl and report.html go", (o, v) => o with { OutputDir = v }, o => o.OutputDir),
        Switch("overwrite_output_dir", "write into an output folder that is not empty",
            (o, v) => o with { OverwriteOutputDir = v }, o => o.OverwriteOutputDir),
        Real("num_train_epochs", 0, "passes over the data; may be a fraction",
            (o, v) => o with { NumTrainEpochs = v }, o => o.NumTrainEpochs),
        Whole("max_steps", -1, "stop after so many updates; -1 follows the epochs", (o, v) => o with { MaxSteps = v }, o => o.MaxSteps),
        Whole("per_device_train_batch_size", 1, "samples in a micro-batch",
            (o, v) => o with { PerDeviceTrainBatchSize = v }, o => o.PerDeviceTrainBatchSize),
        Whole("gradient_accumulation_steps", 1, "micro-batches in an update",
            (o, v) => o with { GradientAccumulationSteps = v }, o => o.GradientAccumulationSteps),
        Real("learning_rate", 0, "base learning rate", (o, v) => o with { LearningRate = v }, o => o.LearningRate),
        Real("mm_projector_lr", 0, "the projector's own base learning rate",
            (o, v) => o with { MmProjectorLr = v }, o => o.MmProjectorLr),
        Real("weight_decay", 0, "decoupled decay of all but biases and norms", (o, v) => o with { WeightDecay = v }, o => o.WeightDecay),
        Real("warmup_ratio", 0, "fraction of the updates in which the rate rises",
            (o, v) => o with { WarmupRatio = v <= 1 ? v : throw new UserErrorException($"--warmup_ratio {v}: expected a number from 0 to 1") },
            o => o.WarmupRatio),
        Text("lr_scheduler_type", "cosine, linear, constant or constant_with_warmup",
            (o, v) => { LearningRateSchedule.ParseKind(v); return o with { LrSchedulerType = v }; }, o => o.LrSchedulerType),
        Real("adam_beta1", 0, "AdamW's first decay", (o, v) => o with { AdamBeta1 = Below1("adam_beta1", v) }, o => o.AdamBeta1),
        Real("adam_beta2", 0, "AdamW's second decay", (o, v) => o with { AdamBeta2 = Below1("adam_beta2", v) }, o => o.AdamBeta2),
        Real("adam_epsilon", 0, "AdamW's epsilon", (o, v) => o with { AdamEpsilon = v }, o => o.AdamEpsilon),
        Real("max_grad_norm", 0, "clip the global gradient norm; 0 as the published DeepSpeed runs, which never clipped",
            (o, v) => o with { MaxGradNorm = v }, o => o.MaxGradNorm),
        Whole("model_max_length", 1, "longest sequence, image rows included",
            (o, v) => o with { ModelMaxLength = v }, o => o.ModelMaxLength),
        Switch("group_by_modality_length", "batches of one modality and similar length",
            (o, v) => o with { GroupByModalityLength = v }, o => o.GroupByModalityLength),
        Switch("group_by_length", "batches of similar length: Hugging Face's own sampler; an image counts as 128 words",
            (o, v) => o with { GroupByLength = v }, o => o.GroupByLength),
        new("sampler", false, "modality groups as the recipe lays them, or balanced: evener, no mixed batch",
            (o, v) => o with { Sampler = Choice("sampler", v, "recipe", "balanced") }, o => o.Sampler),
        new("loss_normalization", false, "micro_batch averages micro-batches as the recipe does, tokens the whole update",
            (o, v) => o with { LossNormalization = Choice("loss_normalization", v, "micro_batch", "tokens") }, o => o.LossNormalization),
        new("on_bad_sample", false, "stop at a sample that cannot be trained, or skip all that check-data would report",
            (o, v) => o with { OnBadSample = Choice("on_bad_sample", v, "stop", "skip") }, o => o.OnBadSample),
        Whole("seed", 0, "sample order and fresh projector", (o, v) => o with { Seed = v }, o => o.Seed),
        Whole("logging_steps", 1, "updates between two log lines", (o, v) => o with { LoggingSteps = v }, o => o.LoggingSteps),
        new("save_strategy", false, "when a checkpoint-N folder is written: no, steps or epoch",
            (o, v) => o with { SaveStrategy = Choice("save_strategy", v, "no", "steps", "epoch") }, o => o.SaveStrategy),
        new("save_steps", false, "updates between two checkpoints; below 1, that fraction of all updates",
            (o, v) => o with { SaveSteps = Steps("save_steps", v) }, o => o.SaveSteps),
        Whole("save_total_limit", 1, "checkpoints that are kept, the newest; all unless given",
            (o, v) => o with { SaveTotalLimit = v }, o => o.SaveTotalLimit),
        Text("resume", "auto: go on from output_dir's newest whole checkpoint; no: begin anew; or a folder",
            (o, v) => o with { Resume = ResumeValue(v) }, o => o.Resume),
        new("resume_from_checkpoint", false, "Hugging Face's name of resume: True, False or a folder",
            (o, v) => o with { Resume = ResumeValue(v) }, null),
        Whole("dataloader_num_workers", 0, "samples prepared at the same time",
            (o, v) => o with { DataloaderNumWorkers = v }, o => o.DataloaderNumWorkers),
        Whole("threads", 0, "threads of the engine; 0 leaves the choice to libtorch", (o, v) => o with { Threads = v }, o => o.Threads),
        OnlyFalse("mm_use_im_start_end", "start and end tokens around images are not part of this build"),
        OnlyFalse("mm_use_im_patch_token", "the patch token is not part of this build, nor of any published LLaVA-1.5 run"),
        OnlyFalse("freeze_backbone", "it would train the output projection alone; use --tune_mm_mlp_adapter True"),
        Accepted("bf16", true, "this build computes in float32", v => Boolean("bf16", v) ? "--bf16 True: this build computes in float32" : null),
        Accepted("fp16", true, "this build computes in float32", v => Boolean("fp16", v) ? "--fp16 True: this build computes in float32" : null),
        Accepted("tf32", true, "a GPU's number format; no effect on the CPU", v => { Boolean("tf32", v); return null; }),
        Accepted("gradient_checkpointing", true, "accepted; activations are kept, nothing is computed twice", v => Boolean("gradient_checkpointing", v) ? "--gradient_checkpointing True: activations are kept in memory; the result is the same" : null),
        Accepted("is_multimodal", true, "accepted: a run with a tower is multimodal", v => { Boolean("is_multimodal", v); return null; }),
        Accepted("lazy_preprocess", true, "accepted: samples are always read when needed", v => { Boolean("lazy_preprocess", v); return null; }),
        Accepted("remove_unused_columns", true, "accepted: unknown keys of a sample are ignored", v => { Boolean("remove_unused_columns", v); return null; }),
        Accepted("optim", false, "adamw_torch", v => { Choice("optim", v, "adamw_torch"); return null; }),
        Accepted("evaluation_strategy", false, "no", v => { Choice("evaluation_strategy", v, "no"); return null; }),
        Accepted("per_device_eval_batch_size", false, "accepted: training does not evaluate", v => { Integer("per_device_eval_batch_size", v, 1); return null; }),
        Accepted("report_to", false, "accepted: log.jsonl and report.html are always written", v => v is "none" ? null : $"--report_to {v}: the run is recorded in log.jsonl and report.html"),
        Accepted("mm_patch_merge_type", false, "flat", v => { Choice("mm_patch_merge_type", v, "flat"); return null; }),
    ];

    private static TrainFlag Text(string name, string help, Func<TrainOptions, string, TrainOptions> apply,
        Func<TrainOptions, object?> read) =>
        new(name, false, help, (o, v) => v.Length > 0 ? apply(o, v) : throw new UserErrorException($"--{name} needs a value"), read);

    private static TrainFlag Switch(string name, string help, Func<TrainOptions, bool, TrainOptions> apply,
        Func<TrainOptions, object?> read) =>
        new(name, true, help, (o, v) => apply(o, Boolean(name, v)), read);

    private static TrainFlag Whole(string name, int minimum, string help, Func<TrainOptions, int,
        TrainOptions> apply, Func<TrainOptions, object?> read) =>
        new(name, false, help, (o, v) => apply(o, Integer(name, v, minimum)), read);

    private static TrainFlag Real(string name, double minimum, string help, Func<TrainOptions, double,
        TrainOptions> apply, Func<TrainOptions, object?> read) =>
        new(name, false, help, (o, v) => apply(o, Number(name, v, minimum)), read);

    private static TrainFlag OnlyFalse(string name, string reason) =>
        new(name, true, $"False only: {reason}",
            (o, v) => Boolean(name, v) ? throw new UserErrorException($"--{name} True: {reason}") : o, null);

    private static TrainFlag Accepted(string name, bool isBoolean, string help, Func<string, string?> note) =>
        new(name, isBoolean, help, (o, v) => { note(v); return o; }, null) { Note = note };

    private static string ResumeValue(string value) => value.ToLowerInvariant() switch
    {
        "auto" or "true" => "auto",
        "no" or "none" or "false" => "no",
        _ => value,
    };

    private static double Steps(string name, string text) =>
        Number(name, text) is var value and > 0 && (value < 1 || (value == Math.Floor(value) && value <= int.MaxValue))
            ? value
            : throw new UserErrorException($"--{name} {text}: expected a whole number of at least 1, or a fraction above 0 and below 1");

    private static double Below1(string name, double value) =>
        value < 1 ? value : throw new UserErrorException($"--{name} {value}: expected a number from 0 to below 1");
}
