namespace LlavaSharp.Interop;

/// <summary>One step of a plan of sharded training.</summary>
/// <param name="Phase">When it is done.</param>
/// <param name="Op">What is done.</param>
/// <param name="Unit">Index of the unit it is done to; 0 for <see cref="ZeroOp.Norm"/>.</param>
public readonly record struct ShardingStep(ZeroPhase Phase, ZeroOp Op, int Unit);
