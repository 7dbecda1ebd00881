namespace LlavaSharp.Zero.Simulation;

/// <summary>What a simulated update took.</summary>
/// <param name="Seconds">The update.</param>
/// <param name="ComputeSeconds">Of these, computing: forward, backward, AdamW.</param>
/// <param name="ExchangeSeconds">How long exchanges were under way, most of it beside the computing.</param>
/// <param name="Memory">At the fullest moment.</param>
/// <param name="SamplesPerSecond">Over all devices.</param>
/// <param name="Utilisation">Operations that the model asks for, over what the devices' products reach: MFU by measured peak.</param>
public sealed record SimulatedUpdate(
    double Seconds, double ComputeSeconds, double ExchangeSeconds, DeviceMemory Memory, double SamplesPerSecond, double Utilisation)
{
    /// <summary>Time in which devices waited for exchanges.</summary>
    public double ExposedSeconds => Seconds - ComputeSeconds;
}
