using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using LlavaSharp.Zero;

namespace LlavaSharp.Cli;

/// <summary>
/// A job of several processes on this machine under Open MPI's mpirun. A signal to stop reaches the ranks once, and they take the time that
/// a checkpoint takes; however the job or this process ends, no rank is left.
/// </summary>
/// <param name="shell">Where lines go, and when to stop.</param>
/// <param name="journal">A folder of this job's own, see <see cref="JobJournal"/>.</param>
internal sealed class MpirunJob(Shell shell, string journal)
{
    /// <summary>Room that Open MPI's own files take for each process, with some to spare.</summary>
    private const long RoomOfARank = 16L << 20;

    // A program that a signal ended exits with this and the signal, as shells count.
    private const int Signalled = 128;

    /// <summary>Starts processes of a verb and waits for them.</summary>
    /// <param name="shell">Where lines go, and when to stop.</param>
    /// <param name="processes">How many.</param>
    /// <param name="verb">The verb and its arguments.</param>
    /// <param name="again">Whether they were lost before.</param>
    /// <returns>What they end with.</returns>
    /// <exception cref="UserErrorException">There is no mpirun, or no room for temporary files.</exception>
    public static int Run(Shell shell, int processes, string[] verb, bool again)
    {
        var journal = MakeJournal(processes);
        try
        {
            return new MpirunJob(shell, journal).Follow(Command(shell, processes, verb, again, journal));
        }
        catch (Win32Exception e)
        {
            throw new UserErrorException(
                "launch needs mpirun: install Open MPI (on Debian: apt-get install openmpi-bin), or start the processes yourself with "
                + "RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT", e);
        }
        finally
        {
            JobProcesses.Kill(journal);
            TryDelete(journal);
        }
    }

    // mpirun keeps files where temporary files go, and waits for ever where they cannot be written.
    private static string MakeJournal(int processes)
    {
        var folder = Path.GetTempPath();
        try
        {
            var journal = Directory.CreateTempSubdirectory("llavasharp-job-").FullName;
            var room = new DriveInfo(journal).AvailableFreeSpace;
            if (room >= RoomOfARank * processes)
            {
                return journal;
            }

            TryDelete(journal);
            throw new UserErrorException(string.Create(
                CultureInfo.InvariantCulture,
                $"the folder for temporary files, {folder}, has {room >> 20} MiB free, and {processes} processes need "
                + $"{(RoomOfARank * processes) >> 20}: make room there, or name another folder in TMPDIR"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            var reason = Directory.Exists(folder) ? e.Message.TrimEnd('.') : "it does not exist";
            throw new UserErrorException(
                $"no file can be made in the folder for temporary files, {folder}: {reason}; name another one in TMPDIR", e);
        }
    }

    private static ProcessStartInfo Command(Shell shell, int processes, string[] verb, bool again, string journal)
    {
        // Its output comes through here: what cannot be written on is then dropped here, and does not end the job.
        var start = new ProcessStartInfo("mpirun") { RedirectStandardError = true, RedirectStandardOutput = true };
        string[] own = Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet"
            ? [Environment.ProcessPath!, Environment.GetCommandLineArgs()[0]]
            : [Environment.ProcessPath!];
        string[] root = Environment.UserName == "root" ? ["--allow-run-as-root"] : [];
        var count = processes.ToString(CultureInfo.InvariantCulture);
        foreach (var argument in (string[])[.. root, "--oversubscribe", "--bind-to", "none", "-np", count, .. own, .. verb])
        {
            start.ArgumentList.Add(argument);
        }

        if (shell.Variable("OMP_NUM_THREADS") is null)
        {
            start.Environment["OMP_NUM_THREADS"] = Math.Max(1, Environment.ProcessorCount / processes).ToString(CultureInfo.InvariantCulture);
        }

        if (again)
        {
            // Inject the test fault on the first attempt only.
            start.Environment.Remove(FaultSwitch.Variable);
        }

        start.Environment[JobJournal.Variable] = journal;
        start.Environment[JobJournal.StarterVariable] = JobProcesses.Identity(Environment.ProcessId);
        return start;
    }

    private int Follow(ProcessStartInfo start)
    {
        var errors = new MpirunOutput(shell.Error);
        using var mpirun = new Process { StartInfo = start };
        mpirun.ErrorDataReceived += (_, line) => Each(line.Data, errors.Take);
        mpirun.OutputDataReceived += (_, line) => Each(line.Data, shell.Summary);
        JobProcesses.Start(mpirun);
        mpirun.BeginErrorReadLine();
        mpirun.BeginOutputReadLine();
        if (shell.Signals is { } signals)
        {
            signals.AtOnce = () => JobProcesses.Kill(journal);
        }

        using (shell.Cancellation.Register(() => AskToStop(mpirun)))
        {
            mpirun.WaitForExit();
        }

        errors.End();
        if (shell.Cancellation.IsCancellationRequested)
        {
            return mpirun.ExitCode is ExitCode.Ok or ExitCode.UserError ? mpirun.ExitCode : ExitCode.Cancelled;
        }

        if (errors.Explained || (errors.Lost is null && mpirun.ExitCode <= Signalled))
        {
            return mpirun.ExitCode;
        }

        // mpirun ends the others at once, before they know what they wait for.
        var who = errors.Lost is var (rank, signal)
            ? string.Create(CultureInfo.InvariantCulture, $"rank {rank} was lost ({signal})")
            : string.Create(CultureInfo.InvariantCulture, $"mpirun was ended (signal {mpirun.ExitCode - Signalled}), and its ranks with it");
        shell.Error.WriteLine($"error: {who}: {JobJournal.Last(journal) ?? "before the first exchange"}");
        return ExitCode.RankLost;
    }

    private void AskToStop(Process mpirun)
    {
        shell.Error.WriteLine("stopping: the processes write a checkpoint first; a second Ctrl-C ends them at once, without one");
        JobProcesses.AskToStop(mpirun);
    }

    private static void Each(string? line, Action<string> take)
    {
        if (line is not null)
        {
            take(line);
        }
    }

    private static void TryDelete(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A few bytes among temporary files; how the job ended matters more.
        }
    }
}
