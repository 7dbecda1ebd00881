namespace LlavaSharp.Interop;

/// <summary>Memory of an engine, in bytes.</summary>
/// <param name="Parameters">Parameters now held: of sharded ones, this rank's part.</param>
/// <param name="Gradients">Gradients now held, likewise.</param>
/// <param name="Optimizer">Optimizer state now held, likewise.</param>
/// <param name="Transient">Of sharded training: buffers for weights and gradients that are whole for a while, and for exchanges.</param>
/// <param name="Workspace">Activations and scratch now held.</param>
/// <param name="Mapped">Optimizer state and shards that lie in files (<see cref="TrainerOptions.OffloadFolder"/>): not above.</param>
/// <param name="Peak">The most that was held at once since creation or the last reset, files aside.</param>
/// <param name="Resident">Resident memory of the process now.</param>
/// <param name="ResidentPeak">The process's highest resident memory.</param>
public readonly record struct MemoryStatistics(
    long Parameters, long Gradients, long Optimizer, long Transient, long Workspace, long Mapped, long Peak, long Resident,
    long ResidentPeak);
