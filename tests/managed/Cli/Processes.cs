using System.Diagnostics;

namespace LlavaSharp.Tests.Cli;

/// <summary>Runs the program in a process of its own, where streams, signals and limits are its own too.</summary>
internal static class Processes
{
    public static readonly string Program = Path.Combine(AppContext.BaseDirectory, "LlavaSharp.Cli");

    /// <summary>Runs a command line; variables as NAME=VALUE.</summary>
    public static Task<(int Code, string Out, string Error)> Run(string[] arguments, params string[] variables) =>
        Run(Program, arguments, variables);

    /// <summary>Runs a command line with what a shell does to its streams or limits, such as <c>"$@" 2>&amp;-</c>.</summary>
    public static Task<(int Code, string Out, string Error)> Shell(string script, params string[] arguments) =>
        Run("sh", ["-c", script, "sh", Program, .. arguments], []);

    /// <summary>Starts a program.</summary>
    public static Process Start(string program, string[] arguments, params string[] variables)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (var pair in variables.Select(v => v.Split('=', 2)))
        {
            start.Environment[pair[0]] = pair[1];
        }

        return Process.Start(start)!;
    }

    private static async Task<(int Code, string Out, string Error)> Run(string program, string[] arguments, string[] variables)
    {
        using var process = Start(program, arguments, variables);
        var error = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output, await error);
    }
}
