using LlavaSharp.Zero.Simulation;

namespace LlavaSharp.Benchmarks;

/// <summary>What a rank held after two updates, the one that held most, and what was said before.</summary>
/// <param name="Train">full, lora or projector.</param>
/// <param name="Stage">0 to 3.</param>
/// <param name="World">Processes.</param>
/// <param name="Measured">By the engine's ledger, in bytes.</param>
/// <param name="Predicted">By the simulation.</param>
/// <param name="Grown">Highest resident memory of the process, less what it was before the model was made.</param>
/// <param name="Scratch">Of that, the most that threads keep for products, as predicted; in no column of the ledger.</param>
/// <param name="Trained">Parameters that train.</param>
/// <param name="Frozen">Parameters of the decoder that do not.</param>
/// <param name="Whole">Parameters, frozen, that no stage divides: the tower, and a projector that does not train.</param>
public sealed record ZeroMemoryResult(
    string Train, int Stage, int World, DeviceMemory Measured, DeviceMemory Predicted, double Grown, double Scratch, double Trained,
    double Frozen, double Whole)
{
    /// <summary>Bytes of weights, gradients and moments where all are float32: (4 + 4 + 8)Ψ, divided as the stage says.</summary>
    public double Formula => Divided(4, 4, 8);

    /// <summary>The published one (Rajbhandari et al. 2020): 16-bit weights and gradients, K = 12 bytes of optimizer state.</summary>
    public double Published => Divided(2, 2, 12);

    private double Divided(double weight, double gradient, double state)
    {
        double n = World;
        var trained = (weight / (Stage >= 3 ? n : 1)) + (gradient / (Stage >= 2 ? n : 1)) + (state / (Stage >= 1 ? n : 1));
        return (Trained * trained) + (Frozen * weight / (Stage >= 3 ? n : 1)) + (Whole * weight);
    }
}
