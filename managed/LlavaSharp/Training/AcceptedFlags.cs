using static LlavaSharp.Training.TrainFlag;
using static LlavaSharp.Training.TrainFlagKinds;

namespace LlavaSharp.Training;

/// <summary>
/// Flags of the recipe and of Hugging Face's trainer that have no meaning here. Each is read as there, and answered with one
/// line that says what happens instead; a value that would have asked for something else is an error.
/// </summary>
internal static class AcceptedFlags
{
    private const string Gaudi = "a setting of Gaudi's graphs; no effect elsewhere";
    private const string Logs = "the run is recorded in log.jsonl, TensorBoard events and report.html";
    private const string NoDownloads = "nothing is downloaded and no checkpoint's code is run";
    private const string NoEvaluation = "training does not evaluate";
    private const string OneProcess = "ranks are found in the environment, and every parameter takes part in every step";

    /// <summary>Rows of the table of flags.</summary>
    public static IReadOnlyList<TrainFlag> All { get; } =
    [
        Accepted("bf16", true, "this build computes in float32; see weights",
            v => Boolean("bf16", v) ? "--bf16 True: this build computes in float32; --weights bfloat16 stores weights in half the memory" : null),
        Accepted("fp16", true, "this build computes in float32", v => Boolean("fp16", v) ? "--fp16 True: this build computes in float32" : null),
        Quiet("tf32", true, "a GPU's number format; no effect on the CPU"),
        Quiet("is_multimodal", true, "accepted: a run with a tower is multimodal"),
        Quiet("lazy_preprocess", true, "accepted: samples are always read when needed"),
        Quiet("remove_unused_columns", true, "accepted: unknown keys of a sample are ignored"),
        Quiet("optim", false, "adamw_torch", v => Choice("optim", v, "adamw_torch", "adamw_hf", "adamw_torch_fused")),
        Quiet("eval_strategy", false, "no", v => Choice("eval_strategy", v, "no")),
        Quiet("evaluation_strategy", false, "no", v => Choice("evaluation_strategy", v, "no")),
        Quiet("per_device_eval_batch_size", false, $"accepted: {NoEvaluation}", v => Integer("per_device_eval_batch_size", v, 1)),
        Quiet("do_train", true, "accepted: train trains"),
        Quiet("do_eval", true, $"accepted: {NoEvaluation}"),
        Quiet("eval_steps", false, $"accepted: {NoEvaluation}"),
        Accepted("report_to", false, $"accepted: {Logs}", v => v is "none" ? null : $"--report_to {v}: {Logs}"),
        Ignored("run_name", false, Logs),
        Ignored("logging_dir", false, "events go to output_dir"),
        Quiet("logging_strategy", false, "steps", v => Choice("logging_strategy", v, "steps")),
        Quiet("logging_first_step", true, "accepted: see logging_steps"),
        Quiet("disable_tqdm", true, "accepted: progress is a line on a terminal, and lines elsewhere"),
        Quiet("save_safetensors", true, "accepted: checkpoints are safetensors; mm_projector.bin keeps its name and kind"),
        Quiet("save_only_model", true, "False only", v =>
            _ = Boolean("save_only_model", v) ? throw new UserErrorException("--save_only_model True: a checkpoint without the optimizer cannot be gone on from; leave the flag out") : v),
        Quiet("ignore_data_skip", true, "False only", v =>
            _ = Boolean("ignore_data_skip", v) ? throw new UserErrorException("--ignore_data_skip True: a resumed run goes on at its place in the data; leave the flag out") : v),
        Ignored("local_rank", false, OneProcess),
        Ignored("ddp_find_unused_parameters", true, OneProcess),
        Quiet("dataloader_pin_memory", true, "accepted: no effect on the CPU"),
        Quiet("dataloader_persistent_workers", true, "accepted: the workers stay"),
        Ignored("dataloader_prefetch_factor", false, "two batches are prepared ahead"),
        Quiet("dataloader_drop_last", true, "False only", v =>
            _ = Boolean("dataloader_drop_last", v) ? throw new UserErrorException("--dataloader_drop_last True: an epoch's last, shorter batch is trained on; leave the flag out") : v),
        Quiet("push_to_hub", true, "False only", v =>
            _ = Boolean("push_to_hub", v) ? throw new UserErrorException("--push_to_hub True: nothing is uploaded; leave the flag out") : v),
        Ignored("cache_dir", false, NoDownloads),
        Ignored("trust_remote_code", true, NoDownloads),
        Ignored("use_auth_token", true, NoDownloads),
        Ignored("mpt_attn_impl", false, "MPT models are not supported"),
        Ignored("use_fast_tokenizer", true, "one tokenizer gives the ids of both"),
        Ignored("use_lazy_mode", true, Gaudi),
        Ignored("use_hpu_graphs", true, Gaudi),
        Ignored("use_hpu_graphs_for_training", true, Gaudi),
        Ignored("use_hpu_graphs_for_inference", true, Gaudi),
        Ignored("gaudi_config_name", false, Gaudi),
        Ignored("throughput_warmup_steps", false, "speeds are averages of the whole run"),
        Ignored("adjust_throughput", true, "speeds are averages of the whole run"),
        Ignored("pipelining_fwd_bwd", true, Gaudi),
        Ignored("pad_max", true, "batches are packed, so nothing is padded; the numbers are the same"),
        Ignored("mm_im_patches", false, "the image rows follow from the tower"),
        Ignored("lora_weight_path", false, "the original declares this flag and never reads it"),
    ];

    private static TrainFlag Quiet(string name, bool isBoolean, string help, Action<string>? check = null) =>
        Accepted(name, isBoolean, help, v =>
        {
            if (isBoolean)
            {
                Boolean(name, v);
            }

            check?.Invoke(v);
            return null;
        });
}
