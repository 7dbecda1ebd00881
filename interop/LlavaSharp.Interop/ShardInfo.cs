namespace LlavaSharp.Interop;

/// <summary>A rank's part of a unit, which is a flat run of floats in the table's order, with the gaps of alignment.</summary>
/// <param name="Begin">First float of the unit.</param>
/// <param name="Count">Floats, maybe none.</param>
/// <param name="Whole">Floats of the unit: the same for any world.</param>
public readonly record struct ShardInfo(long Begin, long Count, long Whole);
