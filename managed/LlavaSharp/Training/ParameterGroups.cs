using LlavaSharp.Interop;

namespace LlavaSharp.Training;

/// <summary>
/// The recipe's optimizer groups: decayed and undecayed parameters (biases and norms), and the same two for the projector
/// and for the tower when they have their own learning rates.
/// </summary>
public sealed class ParameterGroups
{
    // The final norm is part of the backbone but of the head's unit: --freeze_backbone stops it by its rate.
    private const int Still = 4, Tower = 5;

    private readonly (double LearningRate, double WeightDecay)[] _groups;

    /// <summary>Assigns every row of a model's parameter table.</summary>
    /// <param name="parameters">The table.</param>
    /// <param name="options">Learning rates and decay.</param>
    public ParameterGroups(IReadOnlyList<ParameterInfo> parameters, TrainOptions options)
    {
        var (rate, decay) = (options.LearningRate, options.WeightDecay);
        var (own, tower) = (options.MmProjectorLr ?? rate, options.MmVisionTowerLr ?? rate);
        _groups = [(rate, decay), (rate, 0), (own, decay), (own, 0), (0, 0), (tower, decay), (tower, 0)];
        Assignment = [.. parameters.Select(p =>
            options.FreezeBackbone && p.Name == "head.norm.weight" ? Still
            : p.Kind == UnitKinds.Vision ? Tower + (p.Decay ? 0 : 1)
            : (p.Decay ? 0 : 1) + (options.MmProjectorLr is not null && p.Kind == UnitKinds.Projector ? 2 : 0))];
    }

    /// <summary>Group of each row.</summary>
    public int[] Assignment { get; }

    /// <summary>What each group uses in one update.</summary>
    /// <param name="factor">The schedule's factor.</param>
    /// <returns>The groups, in order.</returns>
    public ParameterGroup[] At(double factor) => [.. _groups.Select(g => new ParameterGroup(g.LearningRate * factor, g.WeightDecay))];
}
