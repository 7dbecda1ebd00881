using System.CommandLine;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace LlavaSharp.Cli.Commands;

/// <summary>Starts several processes of a verb on this machine, through mpirun.</summary>
internal static class LaunchCommand
{
    private const string Help = """
        llavasharp launch --nproc N [--restart K] train --FLAG VALUE …

        Starts N processes of train on this machine, which train together: each takes every Nth micro-batch,
        and --zero or a DeepSpeed file says what of the state they divide. An update then has
        per_device_train_batch_size × gradient_accumulation_steps × N samples.

          $ llavasharp launch --nproc 4 train --zero 3 --model_name_or_path …

          --nproc N     processes
          --restart K   when the job ends because a process was lost, start it again, at most K times;
                        it goes on from its newest checkpoint [0]

        Needs mpirun (on Debian: apt-get install openmpi-bin). The machine's cores are shared out evenly, unless
        OMP_NUM_THREADS or --threads says otherwise. On several machines start train with mpirun, srun or
        torchrun-like variables instead (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT); runs/ has examples.

        Exits with what train exits with; 75: a process was lost, and one line says which, where and when.

        """;

    /// <summary>Makes the verb.</summary>
    /// <param name="shell">What it talks to.</param>
    /// <returns>The verb.</returns>
    public static Verb Create(Shell shell)
    {
        var command = new Command("launch", "start several processes") { TreatUnmatchedTokensAsErrors = false };
        command.SetAction(parsed => Run(shell, parsed.UnmatchedTokens));
        return new(command, "starts several processes of train on this machine", "llavasharp launch --nproc 4 train --zero 3 …", Help);
    }

    private static int Run(Shell shell, IReadOnlyList<string> arguments)
    {
        var (processes, restarts, verb) = Read(arguments);
        using var graceful = GracefulStop.Begin();
        for (var attempt = 0; ; attempt++)
        {
            var code = Start(shell, processes, attempt == 0 ? verb : [.. verb, "--resume", "auto"], attempt > 0);
            if (shell.Cancellation.IsCancellationRequested)
            {
                return ExitCode.Cancelled;
            }

            if (attempt == restarts || code is ExitCode.Ok or ExitCode.UserError or ExitCode.CheckFailed)
            {
                return code;
            }

            shell.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"the job ended with code {code}; restart {attempt + 1} of {restarts} goes on from the newest checkpoint"));
        }
    }

    private static (int Processes, int Restarts, string[] Verb) Read(IReadOnlyList<string> arguments)
    {
        var (processes, restarts, at) = (0, 0, 0);
        for (; at < arguments.Count && arguments[at].StartsWith("--", StringComparison.Ordinal); at++)
        {
            var (name, value) = arguments[at].Split('=', 2) is [var n, var v] ? (n, v)
                : (arguments[at], at + 1 < arguments.Count ? arguments[++at] : "");
            switch (name)
            {
                case "--nproc":
                    processes = Training.TrainFlag.Integer("nproc", value, 1);
                    break;
                case "--restart":
                    restarts = Training.TrainFlag.Integer("restart", value, 0);
                    break;
                default:
                    throw new UserErrorException($"unknown flag {name}; launch has --nproc and --restart, and what follows train belongs to train");
            }
        }

        return processes == 0 ? throw new UserErrorException("--nproc is missing: how many processes to start; see llavasharp launch --help")
            : at == arguments.Count ? throw new UserErrorException("launch needs a verb to start: launch --nproc N train …")
            : arguments[at] != "train" ? throw new UserErrorException($"launch cannot start '{arguments[at]}': only train runs in several processes")
            : (processes, restarts, [.. arguments.Skip(at)]);
    }

    /// <summary>Starts processes of a verb and waits for them.</summary>
    /// <param name="shell">Variables, and when to stop.</param>
    /// <param name="processes">How many.</param>
    /// <param name="verb">The verb and its arguments.</param>
    /// <param name="again">Whether they were lost before.</param>
    /// <returns>What they end with.</returns>
    public static int Start(Shell shell, int processes, string[] verb, bool again)
    {
        var start = new ProcessStartInfo("mpirun") { RedirectStandardError = true };
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
            // It has had its fault.
            start.Environment.Remove(Zero.FaultSwitch.Variable);
        }

        var journal = Directory.CreateTempSubdirectory("llavasharp-job-").FullName;
        start.Environment[Zero.JobJournal.Variable] = journal;
        try
        {
            return Follow(shell, start, journal);
        }
        catch (Win32Exception e)
        {
            throw new UserErrorException(
                "launch needs mpirun: install Open MPI (on Debian: apt-get install openmpi-bin), or start the processes yourself with "
                + "RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT", e);
        }
        finally
        {
            Directory.Delete(journal, recursive: true);
        }
    }

    private static int Follow(Shell shell, ProcessStartInfo start, string journal)
    {
        var output = new MpirunOutput(shell.Error);
        using var job = new Process { StartInfo = start };
        job.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is { } text)
            {
                output.Take(text);
            }
        };
        job.Start();
        job.BeginErrorReadLine();

        // mpirun hands a termination on to its processes, which write a checkpoint and leave.
        using var stop = shell.Cancellation.Register(() => Terminate(job.Id));
        job.WaitForExit();
        output.End();
        if (output.Lost is not var (rank, signal) || output.Explained || shell.Cancellation.IsCancellationRequested)
        {
            return job.ExitCode;
        }

        // mpirun ends the others at once, before they know what they wait for.
        shell.Error.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"error: rank {rank} was lost ({signal}): {Zero.JobJournal.Last(journal) ?? "before the first exchange"}"));
        return ExitCode.RankLost;
    }

    private static void Terminate(int id)
    {
        using var kill = Process.Start("kill", ["-TERM", id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }
}
