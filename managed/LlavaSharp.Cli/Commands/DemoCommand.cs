using System.CommandLine;
using LlavaSharp.Demo;

namespace LlavaSharp.Cli.Commands;

/// <summary>The whole recipe on drawn pictures, with nothing downloaded.</summary>
internal static class DemoCommand
{
    private const string Help = """
        llavasharp demo [--out DIR] [--seed N] [flags]

        Draws a small data set in LLaVA's layout, trains a tokenizer on its text, makes a tiny CLIP and a
        tiny LLaMA, runs stage 1 and stage 2, and asks about pictures it has never seen. A few minutes on
        two cores; nothing is downloaded.

          --out DIR              where everything goes; an empty or new folder [out/demo]
          --seed N               decides pictures, weights and order: the same seed, the same losses [0]
          --overwrite            write into a folder that has files already
          --threads N            threads of the engine; 0 leaves the choice to libtorch [0]
          --budget full|smoke    smoke runs every part for a few updates, and learns nothing [full]

        It writes report.json and report.html, the data, the models, stage1/mm_projector.bin and stage2,
        a Hugging Face LLaVA folder:

          $ llavasharp demo --out out/demo
          $ llavasharp generate --model out/demo/stage2 --prompt "How many objects are there?" \
              --image out/demo/data/images/heldout2/00000.png

        """;

    /// <summary>Makes the verb.</summary>
    /// <param name="shell">What it talks to.</param>
    /// <returns>The verb.</returns>
    public static Verb Create(Shell shell)
    {
        var folder = new Option<string>("--out") { DefaultValueFactory = _ => "out/demo" };
        var seed = Flag.Whole("--seed", 0, 0);
        var overwrite = new Option<bool>("--overwrite");
        var threads = Flag.Whole("--threads", 0, 0);
        var budget = new Option<string>("--budget") { DefaultValueFactory = _ => "full" };
        var command = new Command("demo", "train a tiny model from nothing") { folder, seed, overwrite, threads, budget };
        command.SetAction(parsed => Run(shell, new DemoOptions
        {
            Out = parsed.GetValue(folder)!,
            Seed = parsed.GetValue(seed),
            Overwrite = parsed.GetValue(overwrite),
            Threads = parsed.GetValue(threads),
            Budget = Budget(parsed.GetValue(budget)!),
        }));
        return new(
            command,
            "draws data, trains a tiny LLaVA through both stages, and reports",
            "llavasharp demo --out out/demo",
            Help);
    }

    private static int Run(Shell shell, DemoOptions options)
    {
        var result = DemoRun.Execute(options, shell.Progress(), shell.Cancellation);
        foreach (var line in DemoReport.Summary(result))
        {
            shell.Summary(line);
        }

        shell.Summary($"report   {result.Paths.ReportHtml}");
        return ExitCode.Ok;
    }

    private static DemoBudget Budget(string name) => name switch
    {
        "full" => DemoBudget.Full,
        "smoke" => DemoBudget.Smoke,
        _ => throw new UserErrorException($"--budget {name} is not known: use full or smoke"),
    };
}
