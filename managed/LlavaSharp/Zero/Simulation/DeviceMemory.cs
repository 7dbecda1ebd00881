namespace LlavaSharp.Zero.Simulation;

/// <summary>What one device holds at the moment when it holds most, in bytes.</summary>
/// <param name="Weights">Whole units and shards; with bfloat16 the float32 master copies of what is trained are under Optimizer.</param>
/// <param name="Gathered">Divided units that are whole at that moment, beside their shards.</param>
/// <param name="Gradients">Whole gradients and shards.</param>
/// <param name="Optimizer">Moments, and master copies.</param>
/// <param name="Activations">Kept for backward.</param>
public readonly record struct DeviceMemory(double Weights, double Gathered, double Gradients, double Optimizer, double Activations)
{
    /// <summary>The sum.</summary>
    public double Total => Weights + Gathered + Gradients + Optimizer + Activations;
}
