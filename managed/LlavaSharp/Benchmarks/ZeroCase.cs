using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Zero;
using LlavaSharp.Zero.Simulation;

namespace LlavaSharp.Benchmarks;

/// <summary>
/// A small model of some 42 million parameters, trained in one of the recipe's ways by ranks that divide it: small enough for four of them
/// on one machine, large enough for its state to be most of what they hold.
/// </summary>
/// <param name="Train">full, lora or projector.</param>
/// <param name="Division">Stage, depth, buckets; its world is the processes'.</param>
public sealed record ZeroCase(string Train, ZeroDivision Division)
{
    /// <summary>The recipe's ways of training.</summary>
    public static readonly IReadOnlyList<string> Ways = ["full", "lora", "projector"];

    private const int Samples = 2, Tokens = 64, Supervised = 32, Rank = 32;

    /// <summary>Its shape: a decoder of 8 layers of width 512 over a tower of 16 image rows.</summary>
    public static LlavaConfig Shape { get; } = new()
    {
        Vision = new() { HiddenSize = 64, LayerCount = 3, HeadCount = 4, IntermediateSize = 256, ImageSize = 56, PatchSize = 14 },
        Text = new()
        {
            HiddenSize = 512,
            LayerCount = 8,
            HeadCount = 8,
            KeyValueHeadCount = 8,
            IntermediateSize = 1376,
            VocabularySize = 8192,
        },
    };

    /// <summary>What a micro-batch holds, for a simulation of it.</summary>
    public Work Work => new()
    {
        Config = Shape,
        Samples = Samples,
        TokensPerSample = Tokens,
        SupervisedPerSample = Supervised,
        LoraRank = Train == "lora" ? Rank : 0,
    };

    /// <summary>Its plan over so many processes.</summary>
    /// <param name="world">Processes.</param>
    /// <returns>The plan.</returns>
    public ZeroPlan Plan(int world) =>
        ZeroPlan.Build(KnownShapes.Units(Shape, Train, Rank), Division with { World = world });

    /// <summary>Makes the model, without values yet.</summary>
    internal Model Make(Engine engine)
    {
        var model = new Model(engine, ModelLoader.ToModelConfig(Shape));
        foreach (var row in model.Parameters.Where(p => Train == "lora" && p.Kind == UnitKinds.Layer && p.Shape.Length == 2).ToArray())
        {
            model.AttachLora(new() { Rank = Rank, Alpha = 2 * Rank, Dropout = 0.05 }, row.Name);
        }

        model.SetTrainable(Plan(1).Units.Where(u => u.Trainable).Aggregate(UnitKinds.None, (kinds, u) => kinds | u.Kind));
        return model;
    }

    /// <summary>A trainer over the ranks, and then the model's values: no rank holds what is divided whole.</summary>
    internal Trainer Begin(Model model, Ranks ranks, TimeSpan delay)
    {
        var zero = new ShardingOptions { Stage = Division.Stage, ReduceBucket = Division.BucketElements, Delay = delay };
        var trainer = ranks.World == 1 ? new Trainer(model) : new(model, null, ranks.Communicator, zero, Plan(ranks.World).Steps);
        foreach (var row in model.Parameters)
        {
            var matrix = row.Shape.Length > 1;
            var gain = !matrix && row.Name.EndsWith("weight", StringComparison.Ordinal);
            var deviation = matrix ? 0.5 / Math.Sqrt(row.Count / (double)row.Shape[0]) : 0;
            model.Fill(row.Name, matrix ? Fill.Normal : Fill.Constant, gain ? 1 : 0, deviation, 1);
        }

        return trainer;
    }

    /// <summary>A rank's micro-batch: in each sample BOS, a picture, text whose end is supervised.</summary>
    internal static PackedBatch Draw(int rank)
    {
        var random = new Random(rank);
        var rows = ModelLoader.ToModelConfig(Shape).ImageRows;
        int Draw(int at) => at > 0 && at <= rows ? 0 : random.Next(3, Shape.Text.VocabularySize);
        int[] tokens = [.. Enumerable.Range(0, Samples * Tokens).Select(i => Draw(i % Tokens))];
        return new()
        {
            Tokens = tokens,
            Labels = (int[])[.. tokens.Select((token, i) => i % Tokens >= Tokens - Supervised ? token : PackedBatch.IgnoreLabel)],
            Positions = (int[])[.. tokens.Select((_, i) => i % Tokens)],
            CuSeqlens = (int[])[.. Enumerable.Range(0, Samples + 1).Select(i => i * Tokens)],
            ImageSlots = (int[])[.. Enumerable.Range(0, Samples * rows).Select(i => (i / rows * Tokens) + 1 + (i % rows))],
            Pixels = (float[])[.. Enumerable.Range(0, Samples * 3 * 56 * 56).Select(_ => (random.NextSingle() * 4) - 2)],
        };
    }
}
