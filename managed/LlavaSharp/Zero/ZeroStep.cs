namespace LlavaSharp.Zero;

/// <summary>One step of a plan.</summary>
/// <param name="Phase">Part of the update.</param>
/// <param name="Op">What is done.</param>
/// <param name="Unit">Index of the unit in the parameter table; −1 for <see cref="ZeroOp.Norm"/>.</param>
/// <param name="Bucket">For Reduce and Settle: which gradients are settled together, rising from 0 in each phase; −1 otherwise.</param>
public readonly record struct ZeroStep(ZeroPhase Phase, ZeroOp Op, int Unit, int Bucket = -1);
