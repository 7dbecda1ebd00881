using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using LlavaSharp.Data;
using LlavaSharp.Training;

namespace LlavaSharp.Cli.Commands;

/// <summary>Checks a data file before a run does.</summary>
internal static class CheckDataCommand
{
    private const string Help = """
        llavasharp check-data --data_path FILE [--image_folder DIR] [flags]

        Looks at every sample, on several threads, and prints a line for each that something is wrong
        with: its index, the fault, and the values. It takes the flags of llavasharp train, so that a
        training command becomes its own check by changing the verb; unneeded ones are ignored.

          --data_path FILE            the data: a JSON array, or JSON Lines
          --image_folder DIR          where image paths start
          --version, --template NAME  conversation format [v1, or plain in stage 1]
          --model_name_or_path DIR    its tokenizer; without it lengths are not checked
          --model_max_length N        longest sequence, image rows included [512]
          --vision_tower DIR          says how many rows an image becomes [576]
          --dataloader_num_workers N  samples checked at the same time [4]
          --json                      a JSON object a line: index, fault, note, message

        Faults: malformed, bad_text (no UTF-8), role_order, no_answer, mark_without_image,
        image_without_mark, too_long, image_missing, image_empty, image_damaged, not_an_image,
        tiff, too_many_pixels. llavasharp train --on_bad_sample skip leaves out exactly these samples.
        Notes: duplicate, wrong_extension. Such samples are trained: rows may be repeated to weigh
        more, and a picture is read by its content. A sample is named once, a fault before a note.

        A sample without a picture may say <image> within a line, as texts about HTML do. Where a
        line of a question begins or ends with it, or a key seems to name a picture (image_path,
        img, video), or where more than half of the file's samples say it, it is mark_without_image;
        llavasharp train then stops before it begins.

        Exits with 0 when there is no fault, with 1 when there is one.

          $ llavasharp check-data --data_path mix665k.json --image_folder data

        """;

    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(3);

    /// <summary>Makes the verb.</summary>
    /// <param name="shell">What it talks to.</param>
    /// <returns>The verb.</returns>
    public static Verb Create(Shell shell)
    {
        var command = new Command("check-data", "check a data file") { TreatUnmatchedTokensAsErrors = false };
        command.SetAction(parsed => Run(shell, parsed.UnmatchedTokens));
        return new(
            command,
            "finds missing, damaged and misplaced images, bad turns and repetitions in a data file",
            "llavasharp check-data --data_path mix665k.json --image_folder data",
            Help);
    }

    private static int Run(Shell shell, IReadOnlyList<string> arguments)
    {
        var (options, own) = DataFlags.Parse(arguments, ["--json"], []);
        using var session = DataSession.Open(options);
        var (clock, next) = (Stopwatch.StartNew(), Pause);
        var gate = new Lock();
        var problems = DataCheck.Run(session.Dataset, session.Checker, options.DataloaderNumWorkers, Progress, shell.Cancellation);
        foreach (var problem in problems)
        {
            shell.Out.WriteLine(own.ContainsKey("--json")
                ? JsonSerializer.Serialize(
                    new { index = problem.Index, fault = Name(problem.Fault), note = problem.IsNote, message = problem.Message })
                : $"{options.DataPath}: sample {problem.Index}: {(problem.IsNote ? "note: " : "")}{Name(problem.Fault)}: {problem.Message}");
        }

        var (faults, notes) = (problems.Where(p => !p.IsNote).ToList(), problems.Where(p => p.IsNote).ToList());
        shell.Error.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{session.Dataset.Count} samples checked in {clock.Elapsed.TotalSeconds:0.0} s, {faults.Count} with a fault{Kinds(faults)}"
            + $"{(notes.Count == 0 ? "" : $", {notes.Count} with a note{Kinds(notes)}")}"));
        return faults.Count == 0 ? ExitCode.Ok : ExitCode.CheckFailed;

        void Progress(int done, int bad)
        {
            lock (gate)
            {
                if (clock.Elapsed >= next)
                {
                    next = clock.Elapsed + Pause;
                    var left = TimeSpan.FromSeconds(clock.Elapsed.TotalSeconds / done * (session.Dataset.Count - done));
                    shell.Error.WriteLine(string.Create(
                        CultureInfo.InvariantCulture,
                        $"{done}/{session.Dataset.Count}  {bad} with a fault  {done / clock.Elapsed.TotalSeconds:0} samples/s  ETA {left:h\\:mm\\:ss}"));
                }
            }
        }
    }

    private static string Kinds(List<SampleProblem> problems) => problems.Count == 0
        ? ""
        : ": " + string.Join(", ", problems.GroupBy(p => p.Fault).OrderBy(g => g.Key)
            .Select(g => string.Create(CultureInfo.InvariantCulture, $"{g.Count()} {Name(g.Key)}")));

    private static string Name(SampleFault fault) => JsonNamingPolicy.SnakeCaseLower.ConvertName(fault.ToString());
}
