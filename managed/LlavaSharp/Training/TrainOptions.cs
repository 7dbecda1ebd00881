using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Zero;

namespace LlavaSharp.Training;

/// <summary>
/// What a training run was asked to do. Properties carry the recipe's flag names in C# spelling
/// (<see cref="TrainFlags"/> is the table between them); defaults are the recipe's, or Hugging Face's where the recipe sets none,
/// except where the text of a flag says otherwise.
/// </summary>
public sealed record TrainOptions
{
    /// <summary>Folder of the language model (LLaMA, Mistral), or of a whole LLaVA checkpoint.</summary>
    public string? ModelNameOrPath { get; init; }

    /// <summary>Folder of the CLIP tower; null when the model folder is a LLaVA checkpoint.</summary>
    public string? VisionTower { get; init; }

    /// <summary>Conversation template by upstream LLaVA's names; null when <see cref="Template"/> is given instead.</summary>
    public string? Version { get; init; }

    /// <summary>Conversation template by the names, and with the texts, of Intel's variant of the recipe.</summary>
    public string? Template { get; init; }

    /// <summary>Index into the tower's hidden states; null keeps what a LLaVA checkpoint says, else −2.</summary>
    public int? MmVisionSelectLayer { get; init; }

    /// <summary>"patch" drops the class token, "cls_patch" keeps it; null keeps what a LLaVA checkpoint says, else patch.</summary>
    public string? MmVisionSelectFeature { get; init; }

    /// <summary>linear, mlpNx_gelu or identity; null keeps what a LLaVA checkpoint says, else mlp2x_gelu.</summary>
    public string? MmProjectorType { get; init; }

    /// <summary>A stage-1 mm_projector.bin to start from.</summary>
    public string? PretrainMmMlpAdapter { get; init; }

    /// <summary>Stage 1: train the projector alone.</summary>
    public bool TuneMmMlpAdapter { get; init; }

    /// <summary>Stage 2 without the projector.</summary>
    public bool FreezeMmMlpAdapter { get; init; }

    /// <summary>Freeze the decoder and its embeddings.</summary>
    public bool FreezeBackbone { get; init; }

    /// <summary>Train the vision tower, too.</summary>
    public bool UnfreezeMmVisionTower { get; init; }

    /// <summary>Train adapters instead of the language model.</summary>
    public bool LoraEnable { get; init; }

    /// <summary>Rank of the adapters.</summary>
    public int LoraR { get; init; } = 64;

    /// <summary>Adapters are scaled by this over their rank.</summary>
    public int LoraAlpha { get; init; } = 16;

    /// <summary>Share of the adapters' inputs that training drops.</summary>
    public double LoraDropout { get; init; } = 0.05;

    /// <summary>"none", "all" or "lora_only".</summary>
    public string LoraBias { get; init; } = "none";

    /// <summary>Scale adapters by alpha over the root of their rank.</summary>
    public bool UseRslora { get; init; }

    /// <summary>Train the lengths of the adapted weights' rows, too (DoRA).</summary>
    public bool UseDora { get; init; }

    /// <summary>"float32", or "bfloat16": how weights are stored; what trains then has float32 masters.</summary>
    public string Weights { get; init; } = "float32";

    /// <summary>Bits of the decoder layers' linears where these are frozen: 8, 4, or 16 for what <see cref="Weights"/> says.</summary>
    public int Bits { get; init; } = 16;

    /// <summary>With 4 bits: whether the blocks' magnitudes are stored in a byte each.</summary>
    public bool DoubleQuant { get; init; } = true;

    /// <summary>With 4 bits: "nf4" or "fp4".</summary>
    public string QuantType { get; init; } = "nf4";

    /// <summary>What the last four come to.</summary>
    public WeightStorage Storage => WeightStorage.Of(Weights, Bits, DoubleQuant, QuantType);

    /// <summary>The training file: a JSON array or JSONL.</summary>
    public string? DataPath { get; init; }

    /// <summary>The folder that the samples' image paths start from.</summary>
    public string? ImageFolder { get; init; }

    /// <summary>"square" (resize and centre crop), "pad", or "anyres": the whole picture and tiles of it; null keeps
    /// what a LLaVA checkpoint says, else "square".</summary>
    public string? ImageAspectRatio { get; init; }

    /// <summary>Sizes that anyres cuts pictures to, [[width, height], …]; null keeps what a LLaVA checkpoint says.</summary>
    public string? ImageGridPinpoints { get; init; }

    /// <summary>How tiles are laid out: "flat", "spatial" or "spatial_unpad"; null keeps what a checkpoint says, else flat.</summary>
    public string? MmPatchMergeType { get; init; }

    /// <summary>Whether images stand between <c>&lt;im_start&gt;</c> and <c>&lt;im_end&gt;</c>; null: as a checkpoint says.</summary>
    public bool? MmUseImStartEnd { get; init; }

    /// <summary>Whether the vocabulary gets <c>&lt;im_patch&gt;</c>; null keeps what a LLaVA checkpoint says.</summary>
    public bool? MmUseImPatchToken { get; init; }

    /// <summary>Where everything is written.</summary>
    public string? OutputDir { get; init; }

    /// <summary>Whether a non-empty output folder may be written into.</summary>
    public bool OverwriteOutputDir { get; init; }

    /// <summary>Passes over the data; may be a fraction.</summary>
    public double NumTrainEpochs { get; init; } = 1;

    /// <summary>Updates after which the run ends; −1 follows <see cref="NumTrainEpochs"/>.</summary>
    public int MaxSteps { get; init; } = -1;

    /// <summary>Samples in a micro-batch.</summary>
    public int PerDeviceTrainBatchSize { get; init; } = 8;

    /// <summary>Micro-batches in an update.</summary>
    public int GradientAccumulationSteps { get; init; } = 1;

    /// <summary>Base learning rate.</summary>
    public double LearningRate { get; init; } = 5e-5;

    /// <summary>The projector's own base learning rate; null shares <see cref="LearningRate"/>.</summary>
    public double? MmProjectorLr { get; init; }

    /// <summary>The vision tower's own base learning rate; null shares <see cref="LearningRate"/>.</summary>
    public double? MmVisionTowerLr { get; init; }

    /// <summary>Decoupled weight decay of everything but biases and norms.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Fraction of the updates in which the learning rate rises.</summary>
    public double WarmupRatio { get; init; }

    /// <summary>Updates in which the learning rate rises; 0 follows <see cref="WarmupRatio"/>.</summary>
    public int WarmupSteps { get; init; }

    /// <summary>Shape of the learning rate.</summary>
    public string LrSchedulerType { get; init; } = "cosine";

    /// <summary>AdamW's decay of the first moment.</summary>
    public double AdamBeta1 { get; init; } = 0.9;

    /// <summary>AdamW's decay of the second moment.</summary>
    public double AdamBeta2 { get; init; } = 0.999;

    /// <summary>AdamW's epsilon.</summary>
    public double AdamEpsilon { get; init; } = 1e-8;

    /// <summary>Largest global gradient norm; 0 does not clip.</summary>
    public double MaxGradNorm { get; init; } = 1;

    /// <summary>A DeepSpeed configuration; what it says of clipping is in <see cref="MaxGradNorm"/> already.</summary>
    public string? DeepSpeed { get; init; }

    /// <summary>Check everything, write nothing.</summary>
    public bool DryRun { get; init; }

    /// <summary>Train on Intel Gaudi.</summary>
    public bool UseHabana { get; init; }

    /// <summary>Longest sequence, text and image rows together.</summary>
    public int ModelMaxLength { get; init; } = 512;

    /// <summary>Whether batches are grouped by modality and length.</summary>
    public bool GroupByModalityLength { get; init; }

    /// <summary>Whether batches are grouped by length alone: Hugging Face's own sampler, images counted as 128 words.</summary>
    public bool GroupByLength { get; init; }

    /// <summary>How modality groups are laid out: "recipe" as LLaVA's sampler does, "balanced" without mixed batches.</summary>
    public string Sampler { get; init; } = "balanced";

    /// <summary>What an update's loss is the mean of: "micro_batch" means, as the recipe, or all its "tokens".</summary>
    public string LossNormalization { get; init; } = "micro_batch";

    /// <summary>"stop" at a sample that cannot be trained, or "skip" every sample that check-data would report.</summary>
    public string OnBadSample { get; init; } = "stop";

    /// <summary>Seed of the sample order and of a fresh projector.</summary>
    public int Seed { get; init; } = 42;

    /// <summary>Updates between two log lines.</summary>
    public int LoggingSteps { get; init; } = 1;

    /// <summary>When checkpoints are written: "no", "steps" or "epoch".</summary>
    public string SaveStrategy { get; init; } = "steps";

    /// <summary>Updates between two checkpoints; below 1, that fraction of the run's updates.</summary>
    public double SaveSteps { get; init; } = 500;

    /// <summary>Checkpoints that are kept; null keeps all.</summary>
    public int? SaveTotalLimit { get; init; }

    /// <summary>"auto" goes on from the newest whole checkpoint of <see cref="OutputDir"/>, if there is one; "no" begins anew;
    /// else a checkpoint's folder.</summary>
    public string Resume { get; init; } = "auto";

    /// <summary>Images and texts prepared at the same time; 0 means one at a time.</summary>
    public int DataloaderNumWorkers { get; init; } = 4;

    /// <summary>What the machine can do at most, in 10¹² operations a second, for the MFU; null shows operations instead.</summary>
    public double? PeakTflops { get; init; }

    /// <summary>Whether decoder layers run twice instead of keeping what backward reads: all, none, or (null) as many as it takes to
    /// fit <see cref="MemoryLimit"/>.</summary>
    public bool? GradientCheckpointing { get; init; }

    /// <summary>Bytes that the process may hold; null: what the machine has.</summary>
    public long? MemoryLimit { get; init; }

    /// <summary>What the processes divide of the training state: 0 nothing, 1 AdamW's state, 2 gradients too, 3 weights too.</summary>
    public int ZeroStage { get; init; }

    /// <summary>Divided blocks that are fetched ahead.</summary>
    public int ZeroPrefetch { get; init; } = 1;

    /// <summary>Elements of gradients that are exchanged together.</summary>
    public long ZeroBucket { get; init; } = 1 << 24;

    /// <summary>Elements of weights that are gathered together; a DeepSpeed file's allgather_bucket_size.</summary>
    public long ZeroGatherBucket { get; init; } = 1 << 24;

    /// <summary>A folder for files in memory's place, as a DeepSpeed file's nvme_path says; "" for none.</summary>
    public string OffloadFolder { get; init; } = "";

    /// <summary>Whether AdamW's moments lie there.</summary>
    public bool OffloadOptimizer { get; init; }

    /// <summary>Whether shards of weights do, at stage 3.</summary>
    public bool OffloadWeights { get; init; }

    /// <summary>Whether exchanges run beside the computing.</summary>
    public bool ZeroOverlap { get; init; } = true;

    /// <summary>How the processes divide the training.</summary>
    internal ZeroDivision Division => new()
    {
        Stage = ZeroStage,
        World = Place.World,
        Prefetch = ZeroPrefetch,
        BucketElements = ZeroBucket,
        GatherElements = ZeroGatherBucket,
        Overlap = ZeroOverlap,
    };

    /// <summary>Seconds that a process waits for another before the job ends.</summary>
    public int DdpTimeout { get; init; } = 600;

    /// <summary>"stop" at a loss or gradient that is not a number, or "skip" that update.</summary>
    public string OnNan { get; init; } = "stop";

    /// <summary>Which process of how many this one is; not a flag: launchers say it.</summary>
    public RankPlace Place { get; init; } = RankPlace.Single;

    /// <summary>A fault to inject, for tests; not a flag: an environment variable says it.</summary>
    public ShardingOptions Fault { get; init; } = new();

    /// <summary>Threads of the engine; 0 leaves the choice to libtorch.</summary>
    public int Threads { get; init; }
}
