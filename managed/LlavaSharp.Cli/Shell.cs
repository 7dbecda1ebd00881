using LlavaSharp.Training;
using Spectre.Console;

namespace LlavaSharp.Cli;

/// <summary>What a verb talks to: where lines go, and whether the user has asked to stop.</summary>
/// <param name="Out">Results.</param>
/// <param name="Error">Progress, notes and errors, so that results can be piped.</param>
/// <param name="Variable">Reads an environment variable.</param>
/// <param name="Cancellation">Set by Ctrl-C.</param>
internal sealed record Shell(TextWriter Out, TextWriter Error, Func<string, string?> Variable, CancellationToken Cancellation)
{
    /// <summary>A progress line on the error stream: redrawn in place on a terminal, line after line elsewhere.</summary>
    /// <returns>The sink.</returns>
    public IProgressSink Progress()
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Error) });
        return console.Profile.Out.IsTerminal && ReferenceEquals(Error, Console.Error) && !Console.IsErrorRedirected
            ? new TerminalProgress(console)
            : new PlainProgress(Error);
    }
}
