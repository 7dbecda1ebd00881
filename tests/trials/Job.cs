using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace LlavaSharp.Trials;

/// <summary>Runs the program as its users do, in processes of its own, and looks at what it leaves.</summary>
internal static class Job
{
    /// <summary>The program.</summary>
    public static readonly string Program = Path.Combine(AppContext.BaseDirectory, "LlavaSharp.Cli");

    // How long a job may take.
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    /// <summary>Runs a command line; environment variables as NAME=VALUE.</summary>
    public static Task<Outcome> Run(string[] arguments, params string[] variables) => Run(Program, arguments, variables);

    /// <summary>Runs another program.</summary>
    public static async Task<Outcome> Run(string program, string[] arguments, string[] variables)
    {
        using var process = Start(program, arguments, variables);
        var (clock, error) = (Stopwatch.StartNew(), process.StandardError.ReadToEndAsync());
        var output = process.StandardOutput.ReadToEndAsync();
        using var limit = new CancellationTokenSource(Patience);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TrialException($"still running after {Patience}: {string.Join(' ', arguments)}\n{await error}");
        }

        return new(process.ExitCode, await error, await output, clock.Elapsed.TotalSeconds);
    }

    /// <summary>Starts the program.</summary>
    public static Process Start(string[] arguments, params string[] variables) => Start(Program, arguments, variables);

    /// <summary>
    /// Starts the program as a terminal's foreground job: in a group of its own, whose number is the process's. Signals act as they do
    /// there, also where whoever runs this ignores them: a shell does with SIGINT for what it starts in the background, nohup with SIGHUP.
    /// </summary>
    public static Process StartInForeground(string[] arguments, params string[] variables) =>
        Start("setsid", ["--wait", "env", "--default-signal", Program, .. arguments], variables);

    /// <summary>Runs what must succeed.</summary>
    public static async Task Succeed(string[] arguments, params string[] variables)
    {
        var outcome = await Run(arguments, variables);
        if (outcome.Code != 0)
        {
            throw new TrialException($"exit code {outcome.Code}: {string.Join(' ', arguments)}\n{outcome.Error}");
        }
    }

    /// <summary>Processes that still train into a folder.</summary>
    public static string[] Orphans(string folder) => [.. Processes(folder).Select(p => Read(p, "cmdline"))];

    /// <summary>Numbers of the processes that have a folder in their command line.</summary>
    public static int[] Ids(string folder) =>
        [.. Processes(folder).Select(p => int.Parse(Path.GetFileName(p), CultureInfo.InvariantCulture))];

    /// <summary>Runs a job of ranks under mpirun, and follows them: the most bytes that each of them ever held.</summary>
    public static async Task<long[]> Peaks(string folder, string[] arguments)
    {
        var peaks = new Dictionary<string, long>();
        var job = Succeed(arguments);
        for (; !job.IsCompleted; await Task.Delay(5))
        {
            foreach (var process in Processes(folder).Where(IsRank))
            {
                var line = Read(process, "status").Split('\n').FirstOrDefault(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
                if (line is not null)
                {
                    peaks[process] = 1024 * long.Parse(line[6..^2], CultureInfo.InvariantCulture);
                }
            }
        }

        await job;
        return [.. peaks.Values];
    }

    /// <summary>A number of every update, from log.jsonl.</summary>
    public static double[] Logged(string folder, string name) =>
    [
        .. File.ReadLines(Path.Combine(folder, "log.jsonl")).Select(l => JsonDocument.Parse(l).RootElement.GetProperty(name))
            .Select(v => v.ValueKind == JsonValueKind.Null ? double.NaN : v.GetDouble()),
    ];

    /// <summary>Starts another program.</summary>
    public static Process Start(string program, string[] arguments, string[] variables)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (var pair in variables.Select(v => v.Split('=', 2)))
        {
            start.Environment[pair[0]] = pair[1];
        }

        return Process.Start(start)!;
    }

    private static bool IsRank(string process) => Read(process, "environ").Contains("OMPI_COMM_WORLD_RANK=", StringComparison.Ordinal);

    private static IEnumerable<string> Processes(string folder) => Directory.GetDirectories("/proc")
        .Where(p => int.TryParse(Path.GetFileName(p), CultureInfo.InvariantCulture, out _))
        .Where(p => Read(p, "cmdline").Contains(folder, StringComparison.Ordinal));

    private static string Read(string process, string file)
    {
        try
        {
            return File.ReadAllText(Path.Combine(process, file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
