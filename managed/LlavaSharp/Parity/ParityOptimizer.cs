namespace LlavaSharp.Parity;

/// <summary>How a case's updates were made: AdamW, decaying all but biases and norms.</summary>
/// <param name="LearningRate">The same for every update.</param>
/// <param name="Beta1">Decay of the first moment.</param>
/// <param name="Beta2">Decay of the second moment.</param>
/// <param name="Epsilon">AdamW's epsilon.</param>
/// <param name="WeightDecay">Decoupled weight decay.</param>
/// <param name="MaxGradientNorm">Clipping; 0 is none.</param>
/// <param name="Steps">Updates.</param>
public sealed record ParityOptimizer(
    double LearningRate, double Beta1, double Beta2, double Epsilon, double WeightDecay, double MaxGradientNorm, int Steps);
