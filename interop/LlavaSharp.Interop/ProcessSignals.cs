using System.Runtime.InteropServices;

namespace LlavaSharp.Interop;

/// <summary>
/// Signals between processes, by the C library: .NET has no words for them. Linux numbers signals alike on all processors it runs on
/// here. Any thread may call these.
/// </summary>
public static unsafe class ProcessSignals
{
    /// <summary>A terminal that was closed.</summary>
    public const int Hangup = 1;

    /// <summary>Ctrl-C.</summary>
    public const int Interrupt = 2;

    /// <summary>Of free use; batch systems send it some time before a job's end.</summary>
    public const int User1 = 10;

    /// <summary>Asks a process to end.</summary>
    public const int Terminate = 15;

    private const int Block = 0, SetMask = 2, MaskBytes = 128;

    private static readonly Lazy<nint> Library = new(() => NativeLibrary.Load("libc.so.6"));

    /// <summary>Sends a signal.</summary>
    /// <param name="process">A process, or minus the number of a process group.</param>
    /// <param name="signal">The signal; 0 only asks whether it could be sent.</param>
    /// <returns>False when there is no such process, or it is another user's.</returns>
    public static bool Send(int process, int signal)
    {
        var kill = (delegate* unmanaged[Cdecl]<int, int, int>)Export("kill");
        return kill(process, signal) == 0;
    }

    /// <summary>
    /// Does some work while signals to this thread wait. A program that the work starts begins with these signals blocked, and they do not
    /// end it unless it unblocks them.
    /// </summary>
    /// <typeparam name="T">What the work gives.</typeparam>
    /// <param name="signals">The signals.</param>
    /// <param name="work">The work, on this thread.</param>
    /// <returns>What the work gave.</returns>
    public static T Blocking<T>(ReadOnlySpan<int> signals, Func<T> work)
    {
        ArgumentNullException.ThrowIfNull(work);
        var add = (delegate* unmanaged[Cdecl]<byte*, int, int>)Export("sigaddset");
        var change = (delegate* unmanaged[Cdecl]<int, byte*, byte*, int>)Export("pthread_sigmask");
        byte* mask = stackalloc byte[MaskBytes], before = stackalloc byte[MaskBytes];
        new Span<byte>(mask, MaskBytes).Clear();
        foreach (int signal in signals)
        {
            _ = add(mask, signal);
        }
        _ = change(Block, mask, before);
        try
        {
            return work();
        }
        finally
        {
            _ = change(SetMask, before, null);
        }
    }

    private static nint Export(string name) => NativeLibrary.GetExport(Library.Value, name);
}
