using LlavaSharp.Interop;

namespace LlavaSharp.Bench;

/// <summary>One training step to time: the models, lengths and stages of native/bench and tests/peer, so that all sides do
/// the same work.</summary>
internal sealed record StepCase
{
    /// <summary>Names of the stages.</summary>
    public static readonly string[] Stages = ["pretrain", "lora", "full"];

    /// <summary>Names of the sizes.</summary>
    public static readonly string[] Sizes = ["tiny", "small"];

    private static readonly int[] CaptionTokens = [12, 18, 26, 40];
    private static readonly int[] ConversationTokens = [90, 180, 320, 640];

    public string Stage { get; init; } = "pretrain";

    public string Size { get; init; } = "small";

    public int Batch { get; init; } = 4;

    /// <summary>Timed steps; one more goes before them.</summary>
    public int Steps { get; init; } = 4;

    /// <summary>0 leaves the choice to libtorch.</summary>
    public int Threads { get; init; }

    /// <summary>Text tokens of each sample; beside them stand one BOS and the image's rows.</summary>
    public int[] Lengths
    {
        get
        {
            int[] four = Stage == "pretrain" ? CaptionTokens : ConversationTokens;
            return [.. Enumerable.Range(0, Batch).Select(sample => four[sample % 4])];
        }
    }

    /// <summary>The model.</summary>
    public ModelConfig Config => Size == "tiny"
        ? new()
        {
            VisionHidden = 64,
            VisionLayers = 4,
            VisionHeads = 4,
            VisionIntermediate = 128,
            ImageSize = 336,
            PatchSize = 14,
            Hidden = 128,
            Layers = 4,
            Heads = 4,
            KvHeads = 4,
            HeadDim = 32,
            Intermediate = 344,
            Vocabulary = 32000,
        }
        : new()
        {
            VisionHidden = 384,
            VisionLayers = 8,
            VisionHeads = 6,
            VisionIntermediate = 1536,
            ImageSize = 336,
            PatchSize = 14,
            Hidden = 768,
            Layers = 8,
            Heads = 12,
            KvHeads = 12,
            HeadDim = 64,
            Intermediate = 2048,
            Vocabulary = 32000,
        };
}
