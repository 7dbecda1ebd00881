namespace LlavaSharp.Interop;

/// <summary>What the parameters of one group use in one step.</summary>
/// <param name="LearningRate">At least 0.</param>
/// <param name="WeightDecay">Decoupled, at least 0.</param>
public readonly record struct ParameterGroup(double LearningRate, double WeightDecay);
