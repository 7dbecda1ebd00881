using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LlavaSharp.Interop;

/// <summary>The engine's library as a whole: what it is, its log, and how many objects live. Any thread may use it.</summary>
public static unsafe class EngineLibrary
{
    private static volatile Action<LogLevel, string>? Sink;
    private static volatile Exception? Fault;

    /// <summary>Describes the library.</summary>
    /// <exception cref="EngineException">The library is missing or of another version; the message has the remedy.</exception>
    public static LibraryInfo Info
    {
        get
        {
            Native.LibraryInfoGet(out Native.LibraryInfo info).ThrowIfFailed();
            return new LibraryInfo(
                info.AbiVersion, Native.Text(info.Version), Native.Text(info.Libtorch), Native.Text(info.Simd));
        }
    }

    /// <summary>Engines, models, trainers and generators that are alive in this process.</summary>
    public static long LiveCount
    {
        get
        {
            Native.LiveCountGet(out long count).ThrowIfFailed();
            return count;
        }
    }

    /// <summary>The first exception that the current log sink threw, which was then detached; null while it works.</summary>
    public static Exception? LogFault => Fault;

    /// <summary>Sends the engine's log lines somewhere, for the whole process.</summary>
    /// <param name="minimum">The least severe level that is sent.</param>
    /// <param name="sink">
    /// Receives level and line, on any thread; null turns logging off. It must not throw: the engine cannot stop for it, so
    /// a sink that throws is detached and its exception kept in <see cref="LogFault"/>.
    /// </param>
    public static void SetLog(LogLevel minimum, Action<LogLevel, string>? sink)
    {
        Sink = sink;
        Fault = null;
        Native.LogSet((int)minimum, sink is null ? null : &OnLine, null).ThrowIfFailed();
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnLine(int level, byte* message, void* user)
    {
        try
        {
            Sink?.Invoke((LogLevel)level, Native.Text(message));
        }
#pragma warning disable CA1031 // nothing may be thrown through native frames
        catch (Exception fault)
#pragma warning restore CA1031
        {
            Sink = null;
            Fault = fault;
        }
    }
}
