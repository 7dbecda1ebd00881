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

    /// <summary>What is kept from forward to backward, and what the head needs beside it.</summary>
    /// <param name="elementBytes">Bytes of an activation.</param>
    /// <returns>Bytes.</returns>
    public double ActivationBytes(int elementBytes)
    {
        // A layer keeps of each token: its input, its norms' results, q, k, v and their result, gate, up and their product.
        var text = Config.Text;
        double width = text.HiddenSize, keys = (double)text.KeyValueHeadCount * text.HeadDim;
        var full = ((5 * width) + (2 * keys) + (3.0 * text.IntermediateSize)) * Tokens;
        var again = Math.Min(RecomputeLayers, text.LayerCount);
        var layers = ((text.LayerCount - again) * full) + (again * width * Tokens) + (again > 0 ? full : 0);
        var vision = Config.Vision is null ? 0 : Images * Config.ImageRowCount * (Config.Vision.HiddenSize + (2 * width));
        return (layers + vision) * elementBytes;
    }

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
