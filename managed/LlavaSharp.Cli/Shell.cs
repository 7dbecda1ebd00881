using LlavaSharp.Training;
using Spectre.Console;

namespace LlavaSharp.Cli;

/// <summary>What a verb talks to: where lines go, and whether the user has asked to stop.</summary>
/// <param name="Out">Results.</param>
/// <param name="Error">Progress, notes and errors, so that results can be piped.</param>
/// <param name="Variable">Reads an environment variable.</param>
/// <param name="Cancellation">Set when the user asks to stop.</param>
internal sealed record Shell(TextWriter Out, TextWriter Error, Func<string, string?> Variable, CancellationToken Cancellation)
{
    /// <summary>The process's signals; null where a test runs the verb in its own process.</summary>
    public StopSignals? Signals { get; init; }

    /// <summary>Whether <see cref="Error"/> is a terminal on which a line can be drawn again.</summary>
    public bool IsTerminal { get; init; }

    /// <summary>A progress line on the error stream: redrawn in place on a terminal, line after line elsewhere.</summary>
    /// <returns>The sink.</returns>
    public IProgressSink Progress()
    {
        if (!IsTerminal)
        {
            return new PlainProgress(Error);
        }

        var isPlain = Variable("NO_COLOR") is { Length: > 0 };
        return new TerminalProgress(AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.Yes,
            ColorSystem = isPlain ? ColorSystemSupport.NoColors : ColorSystemSupport.Detect,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(Error),
        }));
    }

    /// <summary>A closing line about work that is done and stored elsewhere: where it cannot be written the work is still done.</summary>
    /// <param name="line">The line.</param>
    public void Summary(string line)
    {
        try
        {
            Out.WriteLine(line);
        }
        catch (UserErrorException e)
        {
            Error.WriteLine($"warning: {e.Message}; it would have said: {line}");
        }
    }
}
