using System.CommandLine;
using LlavaSharp.Parity;

namespace LlavaSharp.Cli.Commands;

/// <summary>Compares the engine with Hugging Face's implementation, quantity by quantity.</summary>
internal static class ParityCommand
{
    private const string Help = """
        llavasharp parity CASE…

        Runs the engine on each case and prints one line a quantity: the relative error
        ‖ours − reference‖ / ‖reference‖ and its bound. A case is a folder with a small LLaVA
        checkpoint (model/), images (images/), inputs (case.json) and what Hugging Face's
        implementation computes from them (expected.safetensors).

          pixels, encode, greedy               exact
          image_features, projected, logits,
          loss, losses, first grad_norm        1e-5
          grad (each tensor; worst is named)   2e-5
          grad_norm from the second step on    2e-4
          after (change of each parameter)     5e-3

        PARITY_BREAK=QUANTITY spoils one quantity on purpose, to see that the check can fail.
        Exits with 1 when any error is past its bound.

          $ llavasharp parity tests/golden/parity/*

        """;

    /// <summary>Makes the verb.</summary>
    /// <param name="shell">What it talks to.</param>
    /// <returns>The verb.</returns>
    public static Verb Create(Shell shell)
    {
        var cases = new Argument<string[]>("CASE") { Arity = ArgumentArity.OneOrMore };
        var command = new Command("parity", "compare with Hugging Face") { cases };
        command.SetAction(parsed => Run(shell, parsed.GetRequiredValue(cases)));
        return new(command, "compares logits, gradients and updates with Hugging Face's", "llavasharp parity tests/golden/parity/*", Help);
    }

    private static int Run(Shell shell, string[] folders)
    {
        var spoil = ParityBreak.Parse(shell.Variable(ParityBreak.Variable));
        var failed = new List<string>();
        foreach (var folder in folders)
        {
            using var parity = ParityCase.Open(folder);
            shell.Out.WriteLine(folder);
            if (!new ParityRunner(parity, spoil, line => shell.Out.WriteLine($"  {line}")).Run(shell.Cancellation))
            {
                failed.Add(folder);
            }
        }

        shell.Out.WriteLine(failed.Count == 0
            ? $"{folders.Length} of {folders.Length} cases within every bound"
            : $"{failed.Count} of {folders.Length} cases past a bound: {string.Join(", ", failed)}");
        return failed.Count == 0 ? ExitCode.Ok : ExitCode.CheckFailed;
    }
}
