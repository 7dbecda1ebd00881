using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Benchmarks;

/// <summary>
/// A training step to time: the models, lengths and stages of native/bench and tests/peer, where shape and lengths are not given.
/// Each sample is BOS, an image of 576 rows and text; stage 1 learns all of its text, stage 2 the last two thirds.
/// </summary>
public sealed record StepCase
{
    /// <summary>Names of the stages.</summary>
    public static readonly IReadOnlyList<string> Stages = ["pretrain", "lora", "full"];

    private const int Rank = 128;

    private static readonly int[] Captions = [12, 18, 26, 40];
    private static readonly int[] Conversations = [90, 180, 320, 640];

    /// <summary>pretrain (projector), lora (r = 128 on every decoder linear, and the projector) or full.</summary>
    public string Stage { get; init; } = "pretrain";

    /// <summary>Width of the decoder, in heads of 64.</summary>
    public int Hidden { get; init; } = 768;

    /// <summary>Its layers.</summary>
    public int Layers { get; init; } = 8;

    /// <summary>Samples.</summary>
    public int Batch { get; init; } = 4;

    /// <summary>Text tokens of each sample; 0: the stage's own.</summary>
    public int Tokens { get; init; }

    /// <summary>Threads; 0 leaves the choice to libtorch.</summary>
    public int Threads { get; init; }

    /// <summary>How weights are stored: adapters and what trains aside, as the flags of train have it.</summary>
    public WeightStorage Storage { get; init; } = WeightStorage.Float32;

    /// <summary>Timed steps; one more goes before them.</summary>
    public int Steps { get; init; } = 4;

    /// <summary>The model: MLPs of 8/3 of the width.</summary>
    internal ModelConfig Config => Storage.Apply(new()
    {
        VisionHidden = 384,
        VisionLayers = 8,
        VisionHeads = 6,
        VisionIntermediate = 1536,
        ImageSize = 336,
        PatchSize = 14,
        Hidden = Hidden,
        Layers = Layers,
        Heads = Hidden / 64,
        KvHeads = Hidden / 64,
        HeadDim = 64,
        Intermediate = ((Hidden * 8 / 3) + 63) / 64 * 64,
        Vocabulary = 32000,
    });

    /// <summary>Adapters and what trains; weights at which activations stay near one.</summary>
    internal void Prepare(Model model)
    {
        if (Stage == "lora")
        {
            LoraOptions options = new() { Rank = Rank, Alpha = 2 * Rank, Dropout = 0.05 };
            foreach (ParameterInfo row in model.Parameters.Where(row => row.Kind == UnitKinds.Layer && row.Shape.Length == 2).ToArray())
            {
                model.AttachLora(options, row.Name);
            }
        }

        foreach (ParameterInfo row in model.Parameters)
        {
            double deviation = row.Name == "embed.weight" ? 0.02 : 0.5 / Math.Sqrt(row.Count / (double)row.Shape[0]);
            bool gain = row.Name.EndsWith("weight", StringComparison.Ordinal);
            model.Fill(row.Name, row.Shape.Length > 1 ? Fill.Normal : Fill.Constant, row.Shape.Length > 1 || !gain ? 0 : 1, deviation, 1);
        }

        model.SetTrainable(Stage switch
        {
            "full" => UnitKinds.Projector | UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head,
            "lora" => UnitKinds.Projector | UnitKinds.Lora,
            _ => UnitKinds.Projector,
        });
    }

    /// <summary>The samples end to end.</summary>
    internal PackedBatch Draw()
    {
        ModelConfig config = Config;
        Random random = new(0);
        List<int> tokens = [], labels = [], positions = [], starts = [0], slots = [];
        for (int sample = 0; sample < Batch; sample++)
        {
            int length = Tokens > 0 ? Tokens : (Stage == "pretrain" ? Captions : Conversations)[sample % 4];
            int[] text = [.. Enumerable.Range(0, length).Select(_ => random.Next(3, config.Vocabulary))];
            int asked = Stage == "pretrain" ? 0 : length / 3;
            slots.AddRange(Enumerable.Range(tokens.Count + 1, config.ImageRows));
            tokens.AddRange([1, .. new int[config.ImageRows], .. text]);
            labels.AddRange([.. Enumerable.Repeat(PackedBatch.IgnoreLabel, 1 + config.ImageRows + asked), .. text[asked..]]);
            positions.AddRange(Enumerable.Range(0, tokens.Count - starts[^1]));
            starts.Add(tokens.Count);
        }

        float[] pixels = new float[Batch * 3 * config.ImageSize * config.ImageSize];
        for (int i = 0; i < pixels.Length; i++)
        {
            pixels[i] = (random.NextSingle() * 4) - 2;
        }

        return new()
        {
            Tokens = tokens.ToArray(),
            Labels = labels.ToArray(),
            Positions = positions.ToArray(),
            CuSeqlens = starts.ToArray(),
            ImageSlots = slots.ToArray(),
            Pixels = pixels,
        };
    }
}
