using System.Runtime.InteropServices.Marshalling;

namespace LlavaSharp.Interop;

/// <summary>
/// This process's or thread's place among the ranks that train one model. One thread at a time uses it, and none while
/// a trainer's call that uses it runs. Disposing leaves the job in peace: a process that ends without takes the others along.
/// </summary>
public sealed unsafe class Communicator : IDisposable
{
    /// <summary>Meets the other ranks: returns once all have come.</summary>
    /// <param name="options">How they meet.</param>
    /// <exception cref="EngineException">
    /// <see cref="EngineStatus.Unsupported"/>: the kind's library is not there. <see cref="EngineStatus.Comm"/>: a rank did
    /// not come within the timeout. <see cref="EngineStatus.Invalid"/>: the journal cannot be written.
    /// </exception>
    public Communicator(CommunicatorOptions options)
    {
        Native.CommunicatorOptionsInit(out Native.CommunicatorOptions native).ThrowIfFailed();
        native.Kind = (int)options.Kind;
        native.Rank = options.Rank;
        native.World = options.World;
        native.TimeoutMs = (int)Math.Clamp(options.Timeout.TotalMilliseconds, 0, int.MaxValue);
        byte* address = Utf8StringMarshaller.ConvertToUnmanaged(options.Address);
        byte* journal = Utf8StringMarshaller.ConvertToUnmanaged(options.Journal);
        try
        {
            native.Address = address;
            native.Journal = journal;
            Native.CommunicatorCreate(in native, out CommunicatorHandle handle).ThrowIfFailed();
            Handle = handle;
        }
        finally
        {
            Utf8StringMarshaller.Free(address);
            Utf8StringMarshaller.Free(journal);
        }
        Native.CommunicatorInfoGet(Handle, out Native.CommunicatorInfo info).ThrowIfFailed();
        Rank = info.Rank;
        World = info.World;
    }

    /// <summary>This rank, from 0.</summary>
    public int Rank { get; }

    /// <summary>How many ranks there are.</summary>
    public int World { get; }

    internal CommunicatorHandle Handle { get; }

    /// <summary>Every rank's bytes, in rank order.</summary>
    /// <param name="purpose">What they are: for messages, and to find ranks that are at different work.</param>
    /// <param name="bytes">This rank's; as many on every rank.</param>
    /// <returns>World times as many bytes.</returns>
    /// <exception cref="EngineException"><see cref="EngineStatus.Comm"/> names the rank that is missing or differs.</exception>
    public byte[] Gather(string purpose, ReadOnlySpan<byte> bytes)
    {
        byte[] all = new byte[checked(bytes.Length * World)];
        fixed (byte* from = bytes, to = all)
        {
            Native.CommunicatorGather(Handle, purpose, from, bytes.Length, to, all.Length).ThrowIfFailed();
        }
        return all;
    }

    /// <summary>Ends the job for all ranks. Where they are processes this one ends too, with the code.</summary>
    /// <param name="code">Exit code of the processes.</param>
    /// <param name="reason">What ranks that are threads get as their error.</param>
    public void Stop(int code, string reason) => Native.CommunicatorStop(Handle, code, reason).ThrowIfFailed();

    /// <inheritdoc/>
    public void Dispose() => Handle.Dispose();
}
