using System.Diagnostics;
using LlavaSharp.Interop;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Training.Resume;

namespace LlavaSharp.Trials;

/// <summary>
/// A job whose checkpoint has more than 2 GB is stopped as a terminal, a service manager or a batch system does it. It must end with a
/// whole checkpoint, however long that takes, and leave no process.
/// </summary>
internal sealed class Stops : IDisposable
{
    /// <summary>Bytes that the checkpoint must have at least.</summary>
    public const long Least = 2_000_000_000;

    private const string Group = "the group of launch", All = "every process";

    // 205 million parameters in the decoder: a checkpoint holds each three times, in float32.
    private readonly RankData _data = new(shape: TinyModel.Config() with
    {
        Text = TinyModel.Config().Text with
        {
            HiddenSize = 1024,
            IntermediateSize = 2816,
            LayerCount = 16,
            HeadCount = 16,
            KeyValueHeadCount = 16,
            HeadDim = 64,
        },
    });

    private int _runs;

    /// <summary>Every case.</summary>
    public static IEnumerable<Case> Cases =>
        [new("SIGINT", ProcessSignals.Interrupt, Group), new("SIGTERM", ProcessSignals.Terminate, All)];

    /// <summary>Runs one.</summary>
    public async Task<Result> Run(Case what)
    {
        var folder = _data.Tiny[$"stopped{_runs++}"];
        using var launch = Job.StartInForeground(RankData.Launch(2, Train(folder)));
        var error = launch.StandardError.ReadToEndAsync();
        await Reach(launch, Path.Combine(folder, "log.jsonl"), error);
        var clock = Stopwatch.StartNew();
        foreach (var process in what.To == All ? Job.Ids(folder) : [-launch.Id])
        {
            ProcessSignals.Send(process, what.Signal);
        }

        await launch.WaitForExitAsync();
        var (seconds, orphans) = (clock.Elapsed.TotalSeconds, Job.Orphans(folder).Length);
        string[] left = [.. Directory.GetDirectories(folder)];
        var checkpoint = new CheckpointStore(folder).List() is [var (_, path), ..] ? path : null;
        var bytes = checkpoint is null ? 0 : Directory.GetFiles(checkpoint).Sum(f => new FileInfo(f).Length);
        var damage = checkpoint is null ? "there is none" : CheckpointManifest.FindDamage(checkpoint);
        Directory.Delete(folder, recursive: true);
        return new(what, launch.ExitCode, seconds, bytes, damage, left.Length, orphans, await error);
    }

    /// <inheritdoc/>
    public void Dispose() => _data.Dispose();

    private string[] Train(string folder) =>
        _data.Train("all", folder, 2, 1, 1_000_000, "--learning_rate", "1e-6", "--model_max_length", "256");

    private static async Task Reach(Process launch, string log, Task<string> error)
    {
        while (!File.Exists(log) || File.ReadAllLines(log).Length < 1)
        {
            if (launch.HasExited)
            {
                throw new TrialException($"ended before it was stopped: {await error}");
            }

            await Task.Delay(50);
        }
    }

    /// <summary>Which signal goes to whom.</summary>
    public sealed record Case(string Name, int Signal, string To);

    /// <summary>What came of it: exit code, seconds from the signal to the end, the checkpoint's bytes and what is wrong with it, folders
    /// and processes left, and what was said.</summary>
    public sealed record Result(Case Case, int Code, double Seconds, long Bytes, string? Damage, int Folders, int Orphans, string Error)
    {
        /// <summary>Whether it is as it must be.</summary>
        public bool Holds => Code == 130 && Bytes >= Least && Damage is null && Folders == 1 && Orphans == 0;
    }
}
