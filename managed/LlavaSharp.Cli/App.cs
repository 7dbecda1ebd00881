using System.CommandLine;
using LlavaSharp.Cli.Commands;
using LlavaSharp.Training;

namespace LlavaSharp.Cli;

/// <summary>
/// The program behind the process: builds the verbs, runs one, and turns what it threw into one line and an exit code.
/// A user's mistake, and what the machine refuses, never show a stack trace; a fault of ours shows it only when LLAVASHARP_TRACE is set.
/// </summary>
internal static class App
{
    /// <summary>Runs a command line.</summary>
    /// <param name="arguments">The arguments, without the program's name.</param>
    /// <param name="shell">Where results, progress and errors go.</param>
    /// <returns>The exit code.</returns>
    public static int Run(string[] arguments, Shell shell)
    {
        var error = shell.Error;
        try
        {
            RefuseLineEnds(arguments);
            return Invoke(arguments, shell);
        }
        catch (UserErrorException e)
        {
            error.WriteLine($"error: {OneLine(e.Message)}");
            return ExitCode.UserError;
        }
        catch (OperationCanceledException)
        {
            error.WriteLine("stopped");
            return ExitCode.Cancelled;
        }
        catch (Exception e) when (MachineFault.Line(e) is { } line)
        {
            error.WriteLine($"error: {OneLine(line)}");
            return ExitCode.UserError;
        }
#pragma warning disable CA1031 // The last line of defence: whatever it is, it becomes one line and an exit code.
        catch (Exception e)
        {
            error.WriteLine($"internal error: {e.GetType().Name}: {OneLine(e.Message)}");
            error.WriteLine(
                shell.Variable("LLAVASHARP_TRACE") is { Length: > 0 } and not "0" ? e.ToString() : "This is a fault of LlavaSharp. Run again with LLAVASHARP_TRACE=1 and report what it prints.");
            return ExitCode.Internal;
        }
#pragma warning restore CA1031
    }

    /// <summary>Every verb, in the order that a new user meets them.</summary>
    /// <param name="shell">What they talk to.</param>
    /// <returns>The verbs.</returns>
    internal static IReadOnlyList<Verb> Verbs(Shell shell) =>
        [
            DemoCommand.Create(shell), TrainCommand.Create(shell), LaunchCommand.Create(shell), GenerateCommand.Create(shell),
            MergeLoraCommand.Create(shell),
            ConvertCommand.Create(shell), CheckDataCommand.Create(shell), ShowSampleCommand.Create(shell), ParityCommand.Create(shell),
            PlanCommand.Create(shell), BenchCommand.Create(shell),
        ];

    private static int Invoke(string[] arguments, Shell shell)
    {
        var verbs = Verbs(shell);
        var help = new RootHelp(shell, verbs);
        var root = new RootCommand("llavasharp");
        foreach (var verb in verbs)
        {
            root.Add(verb.Command);
        }

        foreach (var option in root.Options)
        {
            option.Action = option switch
            {
                System.CommandLine.Help.HelpOption => help,
                VersionOption => new VersionAction(shell),
                _ => option.Action,
            };
        }

        root.SetAction(help.Invoke);
        var parsed = root.Parse(
            arguments, new ParserConfiguration { ResponseFileTokenReplacer = null, EnablePosixBundling = false });
        if (parsed.Action is not RootHelp)
        {
            ThrowIfWrong(parsed, root);
        }

        return parsed.Invoke(new InvocationConfiguration
        {
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = null,
            Output = shell.Out,
            Error = shell.Error,
        });
    }

    // A script with the line ends of Windows gives its last argument on each line a carriage return, which nobody sees in a message.
    private static void RefuseLineEnds(string[] arguments)
    {
        for (var i = 0; i < arguments.Length; i++)
        {
            var isText = arguments[i].StartsWith("--prompt=", StringComparison.Ordinal) || (i > 0 && arguments[i - 1] == "--prompt");
            if (arguments[i].EndsWith('\r') && !isText)
            {
                var name = arguments[i].TrimEnd('\r') is { Length: > 0 } text ? $"'{text}'" : i > 0 ? $"what follows '{arguments[i - 1]}'" : "an argument";
                throw new UserErrorException($"{name} ends in a carriage return: the script has Windows line ends; convert it with "
                    + "sed -i 's/\\r$//' SCRIPT");
            }
        }
    }

    private static void ThrowIfWrong(ParseResult parsed, RootCommand root)
    {
        var command = parsed.CommandResult.Command;
        if (command.TreatUnmatchedTokensAsErrors && parsed.UnmatchedTokens is [var unknown, ..])
        {
            throw new UserErrorException(unknown.StartsWith('-')
                ? $"unknown flag {unknown}{NearestName.Hint(unknown, command.Options.Concat(root.Options).Select(o => o.Name))}"
                : command is RootCommand
                    ? $"unknown verb '{unknown}'{NearestName.Hint(unknown, root.Subcommands.Select(c => c.Name))}"
                    : $"'{unknown}' is one argument too many; see llavasharp {command.Name} --help");
        }

        if (parsed.Errors is [var first, ..])
        {
            throw new UserErrorException(Incomplete(parsed) ?? first.Message);
        }
    }

    // System.CommandLine's own words for what is missing name no flag twice the same way; these do.
    private static string? Incomplete(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var see = $"see llavasharp {command.Name} --help";
        foreach (var option in command.Options)
        {
            var result = parsed.GetResult(option);
            if (result is { Implicit: false, Tokens.Count: 0 } && option.Arity.MinimumNumberOfValues > 0)
            {
                return $"{option.Name} needs a value; {see}";
            }

            if (result is null or { Implicit: true } && option.Required)
            {
                return $"{option.Name} is missing; {see}";
            }
        }

        var argument = command.Arguments.FirstOrDefault(
            a => a.Arity.MinimumNumberOfValues > 0 && parsed.GetResult(a) is null or { Tokens.Count: 0 });
        return argument is null ? null : $"{command.Name} needs at least one {argument.Name}; {see}";
    }

    private static string OneLine(string text) => string.Join(' ', text.Split('\n',
        StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));
}
