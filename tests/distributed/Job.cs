using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace LlavaSharp.Distributed.Tests;

/// <summary>Runs the program as its users do, in a process of its own, and waits for it.</summary>
internal static class Job
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "LlavaSharp.Cli");

    /// <summary>Runs a command line; environment variables as NAME=VALUE.</summary>
    public static async Task<(int Code, string Error, double Seconds)> Run(string[] arguments, params string[] variables)
    {
        using var process = Start(arguments, variables);
        var (clock, error) = (Stopwatch.StartNew(), process.StandardError.ReadToEndAsync());
        await process.StandardOutput.ReadToEndAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"still running after a minute: {await error}");
        }

        return (process.ExitCode, await error, clock.Elapsed.TotalSeconds);
    }

    public static Process Start(string[] arguments, params string[] variables)
    {
        var start = new ProcessStartInfo(Program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (var pair in variables.Select(v => v.Split('=', 2)))
        {
            start.Environment[pair[0]] = pair[1];
        }

        return Process.Start(start)!;
    }

    public static async Task Succeed(string[] arguments, params string[] variables)
    {
        var (code, error, _) = await Run(arguments, variables);
        Assert.True(code == 0, error);
    }

    /// <summary>Processes that still train into a folder.</summary>
    public static string[] Orphans(string folder) => [.. Processes(folder).Select(p => Read(p, "cmdline"))];

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

    private static bool IsRank(string process) => Read(process, "environ").Contains("OMPI_COMM_WORLD_RANK=", StringComparison.Ordinal);

    private static IEnumerable<string> Processes(string folder) => Directory.GetDirectories("/proc")
        .Where(p => int.TryParse(Path.GetFileName(p), CultureInfo.InvariantCulture, out _))
        .Where(p => Read(p, "cmdline").Contains(folder, StringComparison.Ordinal));

    public static double[] Losses(string folder) =>
    [
        .. File.ReadLines(Path.Combine(folder, "log.jsonl")).Select(l => JsonDocument.Parse(l).RootElement.GetProperty("loss").GetDouble()),
    ];

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
