namespace LlavaSharp.Interop;

/// <summary>
/// A device that computes. It and everything made from it is used by one thread at a time: a second one that enters
/// meanwhile gets <see cref="EngineStatus.Busy"/>. Objects may be disposed in any order, on any thread.
/// </summary>
public sealed class Engine : IDisposable
{
    /// <summary>Opens a device.</summary>
    /// <param name="options">What to compute on; null is the CPU.</param>
    /// <exception cref="EngineException">The library is missing, or this build cannot use the device.</exception>
    public Engine(EngineOptions? options = null)
    {
        options ??= new EngineOptions();
        Native.EngineOptionsInit(out Native.EngineOptions native).ThrowIfFailed();
        native.Device = (int)options.Device;
        native.Index = options.Index;
        native.Threads = options.Threads;
        Native.EngineCreate(in native, out EngineHandle handle).ThrowIfFailed();
        Handle = handle;
    }

    /// <summary>Threads that kernels and products use.</summary>
    public int Threads
    {
        get
        {
            Native.EngineThreadsGet(Handle, out int threads).ThrowIfFailed();
            return threads;
        }
    }

    internal EngineHandle Handle { get; }

    /// <summary>Reads memory figures.</summary>
    /// <param name="resetPeak">Whether a new peak starts now; the one returned is still the old one.</param>
    public MemoryStatistics Memory(bool resetPeak = false)
    {
        Native.EngineMemoryGet(Handle, resetPeak ? 1 : 0, out Native.Memory memory).ThrowIfFailed();
        return new MemoryStatistics(
            memory.Parameters,
            memory.Gradients,
            memory.Optimizer,
            memory.Transient,
            memory.Workspace,
            memory.Mapped,
            memory.Peak,
            memory.Resident,
            memory.ResidentPeak);
    }

    /// <inheritdoc/>
    public void Dispose() => Handle.Dispose();
}
