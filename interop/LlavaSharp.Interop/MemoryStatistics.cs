namespace LlavaSharp.Interop;

/// <summary>Memory of an engine, in bytes.</summary>
/// <param name="Parameters">Parameters now held.</param>
/// <param name="Gradients">Gradients now held.</param>
/// <param name="Optimizer">Optimizer state now held.</param>
/// <param name="Workspace">Activations and scratch now held.</param>
/// <param name="Peak">The most that was held at once since creation or the last reset.</param>
/// <param name="Resident">Resident memory of the process now.</param>
/// <param name="ResidentPeak">The process's highest resident memory.</param>
public readonly record struct MemoryStatistics(
    long Parameters, long Gradients, long Optimizer, long Workspace, long Peak, long Resident, long ResidentPeak);
