using System.Diagnostics;
using System.Globalization;
using LlavaSharp.Interop;

namespace LlavaSharp.Zero;

/// <summary>
/// The processes of a job that this one starts and answers for. They are known by the journal's folder in their environment
/// (<see cref="JobJournal"/>), whatever became of those that started them.
/// </summary>
public static class JobProcesses
{
    // What a terminal or a service manager may send to a whole group. Open MPI's mpirun takes it for its own and kills the ranks a second
    // later, in the middle of a checkpoint; the ranks themselves get these signals, because mpirun unblocks them there.
    private static readonly int[] Shielded = [ProcessSignals.Interrupt, ProcessSignals.Terminate, ProcessSignals.Hangup];

    /// <summary>Starts mpirun so that it ends when its ranks do, and not by a signal that is meant for all.</summary>
    /// <param name="mpirun">mpirun, not yet started.</param>
    public static void Start(Process mpirun)
    {
        ArgumentNullException.ThrowIfNull(mpirun);
        _ = ProcessSignals.Blocking(Shielded, mpirun.Start);
    }

    /// <summary>Asks every rank to write a checkpoint and leave.</summary>
    /// <param name="mpirun">mpirun, which hands the signal on.</param>
    public static void AskToStop(Process mpirun)
    {
        ArgumentNullException.ThrowIfNull(mpirun);
        _ = ProcessSignals.Send(mpirun.Id, ProcessSignals.User1);
    }

    /// <summary>Ends all processes of a job at once.</summary>
    /// <param name="journal">The job's folder.</param>
    public static void Kill(string journal)
    {
        foreach (var process in Find(journal))
        {
            try
            {
                using var found = Process.GetProcessById(process);
                found.Kill();
            }
            catch (Exception e) when (e is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
            {
                // It has ended by itself.
            }
        }
    }

    /// <summary>What tells a process apart from a later one of the same number.</summary>
    /// <param name="process">Its number.</param>
    /// <returns>The number and when it began; null when there is no such process.</returns>
    public static string? Identity(int process)
    {
        try
        {
            // The name stands in parentheses and may hold anything; the 20th field after it is the start time.
            var status = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/stat"));
            var fields = status[(status.LastIndexOf(')') + 2)..].Split(' ');
            return fields.Length < 20 || fields[0] is "Z" or "X" ? null : string.Create(CultureInfo.InvariantCulture, $"{process} {fields[19]}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }

    /// <summary>Whether a process is still there.</summary>
    /// <param name="identity">What <see cref="Identity"/> gave.</param>
    /// <returns>False when it has ended.</returns>
    public static bool IsAlive(string identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        return int.TryParse(identity.Split(' ')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var process)
            && Identity(process) == identity;
    }

    private static IEnumerable<int> Find(string journal)
    {
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out var process)
                && process != Environment.ProcessId
                && Read(Path.Combine(folder, "environ")).Split('\0').Contains($"{JobJournal.Variable}={journal}"))
            {
                yield return process;
            }
        }
    }

    private static string Read(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
