using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Zero.Simulation;

/// <summary>What a device computes in one micro-batch, and what it keeps for backward.</summary>
public sealed record Work
{
    /// <summary>The model's shape.</summary>
    public required LlavaConfig Config { get; init; }

    /// <summary>Samples in a micro-batch of one device.</summary>
    public required int Samples { get; init; }

    /// <summary>Tokens of a sample, image rows included.</summary>
    public required int TokensPerSample { get; init; }

    /// <summary>Of these, how many have a label.</summary>
    public required int SupervisedPerSample { get; init; }

    /// <summary>Pictures of a sample, on average.</summary>
    public double ImagesPerSample { get; init; } = 1;

    /// <summary>Micro-batches in an update.</summary>
    public int Accumulation { get; init; } = 1;

    /// <summary>Decoder layers that keep only their input and run forward again.</summary>
    public int RecomputeLayers { get; init; }

    /// <summary>Rank of the adapters on every decoder linear; 0: none.</summary>
    public int LoraRank { get; init; }

    private double Tokens => (double)Samples * TokensPerSample;

    private double Supervised => (double)Samples * SupervisedPerSample;

    private double Images => Samples * ImagesPerSample;

    /// <summary>Operations of a unit's forward pass; a product of m × k by k × n is 2·m·n·k.</summary>
    /// <param name="unit">The unit.</param>
    /// <returns>Floating-point operations.</returns>
    public double Forward(ZeroUnit unit) => unit.Kind switch
    {
        UnitKinds.Vision => VisionForward(),
        UnitKinds.Projector => 2 * unit.Elements * Images * Config.ImageRowCount,
        UnitKinds.Layer => (2 * unit.Elements * Tokens) + Attention(),
        UnitKinds.Lora => 2 * unit.Elements * Tokens,
        UnitKinds.Head => 2.0 * Config.Text.HiddenSize * Config.Text.VocabularySize * Supervised,
        _ => 0,
    };

    /// <summary>Operations of a unit's backward pass: one forward for the gradient of its input, one for that of its weights where
    /// they train, and the forward that is run again where nothing was kept.</summary>
    /// <param name="unit">The unit.</param>
    /// <returns>Floating-point operations.</returns>
    public double Backward(ZeroUnit unit)
    {
        var forward = Forward(unit);
        return unit.Kind switch
        {
            UnitKinds.Layer => forward + Attention() + (unit.Trainable ? forward - Attention() : 0) + (IsRecomputed(unit) ? forward : 0),
            UnitKinds.Vision => 0,
            _ => forward * (unit.Trainable ? 2 : 1),
        };
    }

    /// <summary>Operations that the model asks for, recomputation not counted: what utilisation (MFU) is measured by.</summary>
    /// <param name="plan">The plan, for what is passed through.</param>
    /// <returns>Floating-point operations of one micro-batch.</returns>
    public double ModelOperations(ZeroPlan plan)
    {
        var plain = this with { RecomputeLayers = 0 };
        var units = plan.Units.ToDictionary(u => u.Index);
        return plan.Steps.Where(s => s.Phase == ZeroPhase.Last && s.Op is ZeroOp.Forward or ZeroOp.Backward).Sum(s =>
            plan.Units.Where(u => u.Host == s.Unit).Sum(u => s.Op == ZeroOp.Forward ? plain.Forward(u) : plain.Backward(u)));
    }

    /// <summary>What a device holds: as the engine's own plan counts it in float32 (<see cref="MemoryPlan"/>, to which tests hold what
    /// ranks take); with elements of 2 bytes the same buffers, shards of gradients and moments still in float32, and a float32 master
    /// copy of what is updated.</summary>
    /// <param name="plan">What is divided.</param>
    /// <param name="elementBytes">Bytes of a weight, an activation and a gradient as it is computed.</param>
    /// <returns>Bytes, at the moment of most.</returns>
    public DeviceMemory Memory(ZeroPlan plan, int elementBytes)
    {
        var held = Plan(plan);
        double share = elementBytes / 4.0, master = elementBytes < 4 ? 1.5 : 1;
        var shards = plan.Division is { Stage: >= 2, World: > 1 };
        return new(
            held.Parameters * share, held.Transient * share, held.Gradients * (shards ? 1 : share), held.Optimizer * master,
            held.Workspace * share);
    }

    /// <summary>The engine's own plan of what a rank holds, in float32.</summary>
    /// <param name="plan">What is divided.</param>
    /// <returns>Bytes.</returns>
    public MemoryPlan Plan(ZeroPlan plan)
    {
        var zero = new ShardingOptions
        {
            Stage = plan.Division.Stage,
            Accumulation = Accumulation,
            ReduceBucket = plan.Division.BucketElements,
        };
        return MemoryPlan.Compute(ModelLoader.ToModelConfig(Config), Workload(plan), zero, plan.Division.World, plan.Steps);
    }

    private Workload Workload(ZeroPlan plan) => new()
    {
        Tokens = (long)Samples * TokensPerSample,
        Samples = Samples,
        Supervised = (long)Samples * SupervisedPerSample,
        Images = Config.Vision is null ? 0 : (long)Math.Round(Images),
        Units = plan.Units.Where(u => u.Trainable).Aggregate(UnitKinds.None, (kinds, u) => kinds | u.Kind),
        LoraRank = LoraRank,
        RecomputeLayers = RecomputeLayers,
    };

    private bool IsRecomputed(ZeroUnit unit) => unit.Index - 3 < RecomputeLayers;

    private double Attention() =>
        2.0 * TokensPerSample * Tokens * Config.Text.HeadCount * Config.Text.HeadDim;

    private double VisionForward()
    {
        if (Config.Vision is not { } vision)
        {
            return 0;
        }

        double width = vision.HiddenSize, rows = vision.PatchCount + 1;
        var layer = (2 * rows * ((4 * width * width) + (2 * width * vision.IntermediateSize))) + (4 * rows * rows * width);
        var patches = 2.0 * vision.PatchCount * width * 3 * vision.PatchSize * vision.PatchSize;
        return Images * ((Config.ResolvedFeatureLayer * layer) + patches);
    }
}
