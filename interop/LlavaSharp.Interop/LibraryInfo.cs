namespace LlavaSharp.Interop;

/// <summary>What the loaded engine is.</summary>
/// <param name="AbiVersion">Version of the contract.</param>
/// <param name="Version">The engine's version, such as "0.1.0".</param>
/// <param name="Libtorch">Version of the libtorch that was loaded.</param>
/// <param name="Simd">Instruction set that the CPU kernels chose.</param>
public sealed record LibraryInfo(int AbiVersion, string Version, string Libtorch, string Simd);
