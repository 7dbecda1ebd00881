using System.CommandLine;
using System.CommandLine.Invocation;

namespace LlavaSharp.Cli;

/// <summary>Help written by hand: the root's lists every verb with a line and an example, a verb's teaches that verb.</summary>
internal sealed class RootHelp(Shell shell, IReadOnlyList<Verb> verbs) : SynchronousCommandLineAction
{
    /// <inheritdoc/>
    public override bool ClearsParseErrors => true;

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        var verb = verbs.FirstOrDefault(v => v.Command == parseResult.CommandResult.Command);
        shell.Out.Write(verb is null ? Overview(verbs) : verb.Help);
        return ExitCode.Ok;
    }

    /// <summary>The root's help.</summary>
    /// <param name="verbs">What it lists.</param>
    /// <returns>Lines of at most 100 columns.</returns>
    public static string Overview(IReadOnlyList<Verb> verbs)
    {
        var width = verbs.Max(v => v.Command.Name.Length);
        var lines = verbs.SelectMany(v => new[]
        {
            $"  {v.Command.Name.PadRight(width)}  {v.Line}",
            $"  {new string(' ', width)}  $ {v.Example}",
            "",
        });
        return $"""
            llavasharp: trains LLaVA-style vision-language models, without Python.

            {string.Join('\n', lines)}
            llavasharp VERB --help explains one verb; llavasharp --version says what runs underneath.
            Exit codes: 0 done, 1 a check failed, 2 a mistake you can put right, 70 our fault,
            75 a process of several was lost, 130 stopped.

            """.ReplaceLineEndings("\n");
    }
}
