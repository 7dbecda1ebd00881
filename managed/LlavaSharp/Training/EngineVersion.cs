using LlavaSharp.Interop;

namespace LlavaSharp.Training;

/// <summary>What runs underneath, for <c>--version</c> and for reports.</summary>
/// <param name="Engine">The engine's version.</param>
/// <param name="Libtorch">The version of the libtorch that was loaded.</param>
/// <param name="Backend">Device and instruction set, such as "CPU, AVX3".</param>
public sealed record EngineVersion(string Engine, string Libtorch, string Backend)
{
    /// <summary>Asks the engine.</summary>
    /// <returns>Its versions.</returns>
    public static EngineVersion Read()
    {
        var info = EngineLibrary.Info;
        return new(info.Version, info.Libtorch, $"CPU, {info.Simd}");
    }
}
