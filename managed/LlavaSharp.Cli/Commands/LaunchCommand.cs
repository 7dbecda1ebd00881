using System.CommandLine;
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

        Ctrl-C, SIGTERM, SIGHUP (a closed terminal) and SIGUSR1 (what sbatch --signal=USR1@120 sends) stop the
        job: the processes write a checkpoint, however long that takes, and launch exits with 130. A second
        signal, a second or more later, ends them at once. No process outlives launch.

        Needs mpirun (on Debian: apt-get install openmpi-bin), and room for its files where TMPDIR says. The
        machine's cores are shared out evenly, unless OMP_NUM_THREADS or --threads says otherwise. On several
        machines start train with mpirun, srun or torchrun-like variables instead (RANK, WORLD_SIZE,
        MASTER_ADDR, MASTER_PORT); runs/ has examples.

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
            var code = MpirunJob.Run(shell, processes, attempt == 0 ? verb : [.. verb, "--resume", "auto"], attempt > 0);
            // Any other end would come again.
            if (attempt == restarts || shell.Cancellation.IsCancellationRequested || code != ExitCode.RankLost)
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
}
