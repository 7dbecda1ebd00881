using System.CommandLine;
using System.Text.Json;
using LlavaSharp.Benchmarks;

namespace LlavaSharp.Cli.Commands;

/// <summary>Times parts of training on this machine, each by itself.</summary>
internal static class BenchCommand
{
    private const string Help = """
        llavasharp bench WHAT

        Times one part of training on this machine and prints a line a case.

          images   JPEG files of 640 × 480 and 1024 × 768 to the tower's 336 × 336 pixels, one core:
                   decode, pad, resize, normalise. With --peer FILE (what tests/peer/bench_images.py
                   wrote) the same pictures are read, and their pixels and times compared.

          load     a checkpoint in the page cache into a model, against one memcpy of the same bytes.
                   --model FOLDER names one with safetensors; else one of 432 MB is written and removed.

          --seconds S   about how long a case takes [3]
          --runs N      how often a load is timed [5]
          --json        one JSON object a line instead of text

        Exits with 1 when a result differs from the peer's.

          $ llavasharp bench images

        """;

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Makes the verb.</summary>
    /// <param name="shell">What it talks to.</param>
    /// <returns>The verb.</returns>
    public static Verb Create(Shell shell)
    {
        var what = new Argument<string>("WHAT");
        var seconds = Flag.Number("--seconds", 3.0);
        var peer = new Option<string?>("--peer");
        var model = new Option<string?>("--model");
        var runs = Flag.Whole("--runs", 5, 1);
        var json = new Option<bool>("--json");
        var command = new Command("bench", "time a part of training") { what, seconds, peer, model, runs, json };
        command.SetAction(parsed =>
        {
            var name = parsed.GetRequiredValue(what);
            Action<object> print = result =>
                shell.Out.WriteLine(parsed.GetValue(json) ? JsonSerializer.Serialize(result, Json) : result.ToString());
            return name switch
            {
                "images" => Images(shell, parsed.GetValue(peer), parsed.GetValue(seconds), print),
                "load" => Load(shell, parsed.GetValue(model), parsed.GetValue(runs), print),
                _ => throw new UserErrorException($"there is no benchmark '{name}'; there is: images, load"),
            };
        });
        return new(command, "times reading pictures or loading a model on this machine", "llavasharp bench images", Help);
    }

    private static int Images(Shell shell, string? peer, double seconds, Action<object> print)
    {
        var pictures = peer is null ? [BenchPicture.Draw(640, 480), BenchPicture.Draw(1024, 768)] : BenchPicture.ReadPeer(peer);
        var same = true;
        foreach (var picture in pictures)
        {
            var result = ImageBench.Run(picture, seconds, shell.Cancellation);
            print(result);
            same &= result.SameBytes ?? true;
        }

        return same ? ExitCode.Ok : ExitCode.CheckFailed;
    }

    private static int Load(Shell shell, string? model, int runs, Action<object> print)
    {
        if (model is not null)
        {
            print(LoadBench.Run(model, runs, shell.Cancellation));
            return ExitCode.Ok;
        }

        var folder = Directory.CreateTempSubdirectory("llavasharp-bench-");
        try
        {
            LoadBench.WriteModel(Path.Combine(folder.FullName, "model"));
            print(LoadBench.Run(Path.Combine(folder.FullName, "model"), runs, shell.Cancellation));
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        return ExitCode.Ok;
    }
}
