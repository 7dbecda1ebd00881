namespace LlavaSharp.Zero.Simulation;

/// <summary>A connection of one device.</summary>
/// <param name="BytesPerSecond">In each direction.</param>
/// <param name="LatencySeconds">Of one message.</param>
public sealed record Link(double BytesPerSecond, double LatencySeconds);
