namespace LlavaSharp.Zero.Simulation;

/// <summary>What one device holds at the moment when it holds most, in bytes.</summary>
/// <param name="Weights">Whole units and shards; with bfloat16 the float32 master copies of what is trained are under Optimizer.</param>
/// <param name="Transient">Weights and gradients that are whole for a while beside their shards, and what exchanges need.</param>
/// <param name="Gradients">Those that stay: whole ones, or shards.</param>
/// <param name="Optimizer">Moments, and master copies.</param>
/// <param name="Activations">The workspace of forward and backward.</param>
public readonly record struct DeviceMemory(double Weights, double Transient, double Gradients, double Optimizer, double Activations)
{
    /// <summary>The sum.</summary>
    public double Total => Weights + Transient + Gradients + Optimizer + Activations;
}
