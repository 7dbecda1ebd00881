using System.Globalization;
using System.Runtime.InteropServices;
using LlavaSharp.Checkpoints;
using LlavaSharp.Zero;

namespace LlavaSharp.Cli;

/// <summary>
/// The signals that ask the program to stop: Ctrl-C, a service manager's SIGTERM, a closed terminal's SIGHUP, and SIGUSR1, which batch
/// systems send before a job's end. The first asks the work to stop; a second one, a second or more later, deletes what is being written
/// and ends the process at once.
/// </summary>
internal sealed class StopSignals : IDisposable
{
    private const PosixSignal User1 = (PosixSignal)10;

    // A signal to a group often comes twice: by itself, and from a parent that hands it on.
    private static readonly TimeSpan Same = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _asked = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private readonly Lock _lock = new();
    private Timer? _watch;
    private long _first;

    /// <summary>Begins to listen.</summary>
    public StopSignals()
    {
        PosixSignal[] signals = IgnoresHangup()
            ? [PosixSignal.SIGINT, PosixSignal.SIGTERM, User1]
            : [PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, User1];
        foreach (var signal in signals)
        {
            _registrations.Add(PosixSignalRegistration.Create(signal, Take));
        }
    }

    /// <summary>Set by the first signal.</summary>
    public CancellationToken Asked => _asked.Token;

    /// <summary>What a second signal does; null ends the process.</summary>
    public Action? AtOnce { get; set; }

    /// <summary>Stops as at a signal when a process ends without having told this one, as when it was killed.</summary>
    /// <param name="identity">The process, see <see cref="JobProcesses.Identity"/>.</param>
    public void FollowEndOf(string identity)
    {
        var often = TimeSpan.FromSeconds(1);
        _watch = new Timer(
            _ =>
            {
                if (!JobProcesses.IsAlive(identity))
                {
                    _asked.Cancel();
                }
            },
            null, often, often);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _watch?.Dispose();
        _registrations.ForEach(r => r.Dispose());
        _asked.Dispose();
    }

    private void Take(PosixSignalContext context)
    {
        bool isSecond;
        lock (_lock)
        {
            _first = _first == 0 ? TimeProvider.System.GetTimestamp() : _first;
            isSecond = TimeProvider.System.GetElapsedTime(_first) >= Same;
        }

        context.Cancel = !isSecond || AtOnce is not null;
        if (!isSecond)
        {
            _asked.Cancel();
        }
        else if (AtOnce is { } atOnce)
        {
            atOnce();
        }
        else
        {
            Temporaries.Abandon();
        }
    }

    // nohup has a closed terminal's signal ignored: it is not for this process.
    private static bool IgnoresHangup()
    {
        const string Ignored = "SigIgn:";
        const ulong Hangup = 1;
        try
        {
            var mask = File.ReadLines("/proc/self/status").FirstOrDefault(l => l.StartsWith(Ignored, StringComparison.Ordinal));
            return mask is not null
                && (ulong.Parse(mask[Ignored.Length..].Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture) & Hangup) != 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return false;
        }
    }
}
