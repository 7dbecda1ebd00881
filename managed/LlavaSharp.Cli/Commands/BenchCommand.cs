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

          step     whole training steps, of the models and batches that the comparison with other programs
                   uses: --stage pretrain|lora|full, and if wanted --batch, --layers, --hidden, --tokens
                   (text of a sample), --threads, --weights float32|bfloat16, --bits 16|8|4. The floor
                   beside them: ./build.sh bench step.

          scaling  what a step costs against tokens, layers, width, batch and threads; draws
                   scaling-sizes.svg and scaling-threads.svg into --out FOLDER [artifacts/bench].

          zero     memory of a rank at 1, 2 and 4 processes, in every stage and way of training, beside
                   the simulation's; writes scaling-memory-measured.md into --out FOLDER.

          overlap  what fetching ahead hides and shared exchanges save where exchanges are slow,
                   beside the simulation's; writes scaling-overlap-measured.md into --out FOLDER.
                   Both need mpirun.

          --seconds S   about how long a case takes [3]
          --runs N      how often a load or a step is timed [5]
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
        var stage = new Option<string>("--stage") { DefaultValueFactory = _ => "pretrain" };
        Option<int> hidden = Flag.Whole("--hidden", 768, 64), layers = Flag.Whole("--layers", 8, 1), batch = Flag.Whole("--batch", 4, 1);
        Option<int> tokens = Flag.Whole("--tokens", 0, 0), threads = Flag.Whole("--threads", 0, 0);
        var weights = new Option<string>("--weights") { DefaultValueFactory = _ => "float32" };
        var bits = new Option<string>("--bits") { DefaultValueFactory = _ => "16" };
        var folder = new Option<string>("--out") { DefaultValueFactory = _ => Path.Combine("artifacts", "bench") };
        Option<string?> @case = new("--case"), result = new("--result"); // What zero and overlap start their processes with.
        var command = new Command("bench", "time a part of training")
        {
            what, seconds, peer, model, runs, json, stage, hidden, layers, batch, tokens, threads, weights, bits, folder, @case, result,
        };
        command.SetAction(parsed =>
        {
            var name = parsed.GetRequiredValue(what);
            Action<object> print = result =>
                shell.Out.WriteLine(parsed.GetValue(json) ? JsonSerializer.Serialize(result, Json) : result.ToString());
            return name switch
            {
                "images" => Images(shell, parsed.GetValue(peer), parsed.GetValue(seconds), print),
                "load" => Load(shell, parsed.GetValue(model), parsed.GetValue(runs), print),
                "step" => Step(
                    shell,
                    new()
                    {
                        Stage = StepCase.Stages.Contains(parsed.GetValue(stage)) ? parsed.GetValue(stage)!
                            : throw new UserErrorException($"--stage {parsed.GetValue(stage)}: expected {string.Join(" or ", StepCase.Stages)}"),
                        Hidden = parsed.GetValue(hidden) % 64 == 0 ? parsed.GetValue(hidden)
                            : throw new UserErrorException($"--hidden {parsed.GetValue(hidden)}: expected a multiple of 64"),
                        Layers = parsed.GetValue(layers),
                        Batch = parsed.GetValue(batch),
                        Tokens = parsed.GetValue(tokens),
                        Threads = parsed.GetValue(threads),
                        Steps = parsed.GetValue(runs),
                        Storage = StorageFlags.Read(parsed.GetValue(weights)!, parsed.GetValue(bits)!),
                    },
                    print),
                "scaling" => Scaling(shell, parsed.GetValue(folder)!, print),
                "zero" or "overlap" => Zero(shell, name, parsed.GetValue(folder)!, parsed.GetValue(@case), parsed.GetValue(result)),
                _ => throw new UserErrorException($"there is no benchmark '{name}'; there is: images, load, step, scaling, zero, overlap"),
            };
        });
        return new(command, "times reading pictures or loading a model on this machine", "llavasharp bench images", Help);
    }

    private static int Zero(Shell shell, string name, string folder, string? @case, string? result)
    {
        if (@case is not null && result is not null)
        {
            ZeroBenches.Take(shell, @case, result);
        }
        else if (name == "zero")
        {
            new ZeroBenches(shell, folder).Memory();
        }
        else
        {
            new ZeroBenches(shell, folder).Overlap();
        }

        return ExitCode.Ok;
    }

    private static int Step(Shell shell, StepCase @case, Action<object> print)
    {
        print(StepBench.Run(@case, shell.Cancellation));
        return ExitCode.Ok;
    }

    private static int Scaling(Shell shell, string folder, Action<object> print)
    {
        ScalingBench.Run(folder, print, shell.Cancellation);
        return ExitCode.Ok;
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
