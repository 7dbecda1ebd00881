namespace LlavaSharp.Interop;

/// <summary>What an engine computes on.</summary>
public sealed record EngineOptions
{
    /// <summary>Kind of device.</summary>
    public Device Device { get; init; } = Device.Cpu;

    /// <summary>Which one of its kind, from 0.</summary>
    public int Index { get; init; }

    /// <summary>CPU threads; 0 keeps libtorch's choice.</summary>
    public int Threads { get; init; }
}
