using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using LlavaSharp.Interop;

namespace LlavaSharp.Zero;

/// <summary>
/// The processes of a run, and what they say to each other besides tensors. Whatever may go wrong on one of them alone is done
/// <see cref="Together{T}"/>: then all go on, or all stop with the same words, and none waits for one that has left.
/// </summary>
public sealed class Ranks : IDisposable
{
    private readonly Communicator? _communicator;

    private Ranks(RankPlace place, Communicator? communicator) => (Place, _communicator) = (place, communicator);

    /// <summary>A run of one process.</summary>
    public static Ranks Single { get; } = new(RankPlace.Single, null);

    /// <summary>This process.</summary>
    public RankPlace Place { get; }

    /// <summary>From 0.</summary>
    public int Rank => Place.Rank;

    /// <summary>Processes.</summary>
    public int World => Place.World;

    /// <summary>Whether this one writes what a run has once.</summary>
    public bool IsFirst => Place.IsFirst;

    /// <summary>What carries the tensors.</summary>
    /// <exception cref="InvalidOperationException">There is one process.</exception>
    public Communicator Communicator => _communicator ?? throw new InvalidOperationException("one process has nobody to talk to");

    /// <summary>Meets the others.</summary>
    /// <param name="place">Which process this is.</param>
    /// <param name="timeout">How long a process waits for another before the job ends.</param>
    /// <returns>Once all have come.</returns>
    /// <exception cref="UserErrorException">What would carry the tensors is not installed, or MPI did not start this process.</exception>
    /// <exception cref="EngineException"><see cref="EngineStatus.Comm"/>: the processes did not find each other; the message names the
    /// variables, the address and the reason.</exception>
    public static Ranks Meet(RankPlace place, TimeSpan timeout)
    {
        if (place.World == 1)
        {
            return Single;
        }

        var options = new CommunicatorOptions
        {
            Kind = place.Carrier!.Value,
            Rank = place.Rank,
            World = place.World,
            Timeout = timeout,
            Address = place.Address,
            Journal = place.Journal,
        };
        try
        {
#pragma warning disable CA2000 // The processes own it.
            return new(place, new Communicator(options));
#pragma warning restore CA2000
        }
        catch (EngineException e) when (e.Status is EngineStatus.Unsupported or EngineStatus.Invalid)
        {
            throw new UserErrorException($"{place}: {e.Message}", e);
        }
        catch (EngineException e) when (e.Status == EngineStatus.Comm && place.Carrier == CommunicatorKind.Mpi)
        {
            // MPI did not start this process: another job, or a batch system that speaks to another MPI, left the variables.
            throw new UserErrorException(
                $"{place}: {e.Message}; if {place.Source.Replace("/", " and ", StringComparison.Ordinal)} are left over from another job, unset them", e);
        }
        catch (EngineException e) when (e.Status == EngineStatus.Comm)
        {
            throw new EngineException(
                e.Status, $"{place}: {e.Message}; MASTER_ADDR and MASTER_PORT name rank 0's host and a free port of it, the same on all ranks");
        }
    }

    /// <summary>Counts the processes that share this one's host, and so its memory.</summary>
    /// <returns>At least 1: this one.</returns>
    public int CountOnHost()
    {
        // Containers of one machine have names of their own, and limits of their own.
        const string BootId = "/proc/sys/kernel/random/boot_id";
        var host = _communicator is null ? "" : Environment.MachineName + (File.Exists(BootId) ? File.ReadAllText(BootId) : "");
        return Gather("counting processes", host).Count(other => other == host);
    }

    /// <summary>Every process's bytes; as many on each.</summary>
    /// <param name="purpose">For messages.</param>
    /// <param name="bytes">This process's.</param>
    /// <returns>In rank order.</returns>
    public byte[][] Gather(string purpose, ReadOnlySpan<byte> bytes) => _communicator is null
        ? [bytes.ToArray()]
        : [.. _communicator.Gather(purpose, bytes).Chunk(Math.Max(1, bytes.Length))];

    /// <summary>Every process's numbers; as many on each.</summary>
    /// <param name="purpose">For messages.</param>
    /// <param name="values">This process's.</param>
    /// <returns>In rank order.</returns>
    public double[][] Gather(string purpose, ReadOnlySpan<double> values) =>
        [.. Gather(purpose, MemoryMarshal.AsBytes(values)).Select(b => MemoryMarshal.Cast<byte, double>(b).ToArray())];

    /// <summary>Every process's text.</summary>
    /// <param name="purpose">For messages.</param>
    /// <param name="text">This process's; may be of any length.</param>
    /// <returns>In rank order.</returns>
    public string[] Gather(string purpose, string text)
    {
        if (_communicator is null)
        {
            return [text];
        }

        var own = Encoding.UTF8.GetBytes(text);
        var size = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(size, own.Length);
        int[] sizes = [.. Gather(purpose, size).Select(s => BinaryPrimitives.ReadInt32LittleEndian(s))];
        Array.Resize(ref own, Math.Max(1, sizes.Max()));
        return [.. Gather(purpose, own).Select((bytes, rank) => Encoding.UTF8.GetString(bytes, 0, sizes[rank]))];
    }

    /// <summary>Does what may fail on one process alone. Where it fails on any, all throw what the lowest such rank threw.</summary>
    /// <typeparam name="T">What it gives.</typeparam>
    /// <param name="what">For messages.</param>
    /// <param name="work">The work.</param>
    /// <param name="cancellation">Stops before the work.</param>
    /// <returns>What it gave here.</returns>
    /// <exception cref="UserErrorException">It failed on some process; the message names the rank.</exception>
    /// <exception cref="OperationCanceledException">Some process was asked to stop.</exception>
    public T Together<T>(string what, Func<T> work, CancellationToken cancellation = default)
    {
        if (_communicator is null)
        {
            cancellation.ThrowIfCancellationRequested();
            return work();
        }

        const string Cancelled = "c", Wrong = "e";
        T? result = default;
        var outcome = "";
        try
        {
            cancellation.ThrowIfCancellationRequested();
            result = work();
        }
        catch (OperationCanceledException)
        {
            outcome = Cancelled;
        }
        catch (UserErrorException e)
        {
            outcome = Wrong + e.Message;
        }
        catch (Exception e) when (MachineFault.Line(e) is not null)
        {
            outcome = Wrong + MachineFault.Line(e);
        }

        var outcomes = Gather(what, outcome);
        if (Array.FindIndex(outcomes, o => o.StartsWith(Wrong, StringComparison.Ordinal)) is var rank and >= 0)
        {
            var message = outcomes[rank][Wrong.Length..];
            throw new UserErrorException(outcomes.All(o => o == outcomes[rank])
                ? message
                : string.Create(CultureInfo.InvariantCulture, $"rank {rank}: {message}"));
        }

        return outcomes.Contains(Cancelled) ? throw new OperationCanceledException("a process was asked to stop") : result!;
    }

    /// <summary>As <see cref="Together{T}"/>, for work that gives nothing.</summary>
    /// <param name="what">For messages.</param>
    /// <param name="work">The work.</param>
    /// <param name="cancellation">Stops before the work.</param>
    public void Together(string what, Action work, CancellationToken cancellation = default) => Together(
        what,
        () =>
        {
            work();
            return 0;
        },
        cancellation);

    /// <summary>Compares what must be the same on all processes, before anything is computed.</summary>
    /// <param name="parts">What each part is called, and its text.</param>
    /// <exception cref="UserErrorException">A part differs; the message names it and the ranks.</exception>
    public void Agree(IEnumerable<(string Name, string Text)> parts)
    {
        var named = parts.ToArray();
        var own = named.SelectMany(p => SHA256.HashData(Encoding.UTF8.GetBytes(p.Text))).ToArray();
        var all = Gather("comparing the ranks", own);
        for (var part = 0; part < named.Length; part++)
        {
            var range = (part * SHA256.HashSizeInBytes)..((part + 1) * SHA256.HashSizeInBytes);
            int[] others = [.. Enumerable.Range(0, World).Where(r => !all[r].AsSpan(range).SequenceEqual(all[0].AsSpan(range)))];
            if (others.Length > 0)
            {
                throw new UserErrorException(
                    $"the ranks do not agree on {named[part].Name}: {Names(others)} differ{(others.Length == 1 ? "s" : "")} from rank 0; "
                    + "start every rank with the same build, command and files");
            }
        }
    }

    /// <summary>Ends the job for all processes, this one included where the carrier does so.</summary>
    /// <param name="code">Exit code.</param>
    /// <param name="reason">Why.</param>
    public void Stop(int code, string reason) => _communicator?.Stop(code, reason);

    /// <inheritdoc/>
    public void Dispose() => _communicator?.Dispose();

    private static string Names(int[] ranks) => (ranks.Length == 1 ? "rank " : "ranks ")
        + string.Join(", ", ranks.Take(8).Select(r => r.ToString(CultureInfo.InvariantCulture))) + (ranks.Length > 8 ? ", …" : "");
}
