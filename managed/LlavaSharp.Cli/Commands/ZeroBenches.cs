using System.Text.Json;
using LlavaSharp.Benchmarks;
using LlavaSharp.Checkpoints;
using LlavaSharp.Zero;

namespace LlavaSharp.Cli.Commands;

/// <summary>The benchmarks of sharded training: starts each case's processes, which are this program again, and writes tables.</summary>
/// <param name="shell">What they talk to.</param>
/// <param name="folder">Receives the tables.</param>
internal sealed class ZeroBenches(Shell shell, string folder)
{
    // Hugging Face's "auto" at this width.
    private const long Bucket = 512 * 512;

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Measures as one of a case's processes; the first leaves the result in a file.</summary>
    /// <param name="shell">For the environment.</param>
    /// <param name="case">overlap, or a way of training and a stage: full:3.</param>
    /// <param name="result">The file.</param>
    public static void Take(Shell shell, string @case, string result)
    {
        var place = RankDiscovery.Find(shell.Variable);
        ZeroDivision Division(string stage) => new()
        {
            Stage = Training.TrainFlag.Integer("case", stage, 0),
            BucketElements = Bucket,
            GatherElements = Bucket,
        };
        var text = @case == "overlap" ? JsonSerializer.Serialize(ZeroOverlapBench.Run(place), Json)
            : @case.Split(':') is [var train, var stage] && ZeroCase.Ways.Contains(train)
                ? JsonSerializer.Serialize(ZeroMemoryBench.Run(place, new(train, Division(stage))), Json)
            : throw new UserErrorException($"--case {@case}: expected overlap, or full, lora or projector with a stage: full:3");
        if (place.IsFirst)
        {
            AtomicFile.WriteText(result, text);
        }
    }

    /// <summary>Memory of a rank, at 1, 2 and 4 ranks, in every stage and way of training.</summary>
    public void Memory()
    {
        List<ZeroMemoryResult> results = [];
        (int World, int Stage)[] divisions = [(1, 0), (2, 0), (2, 1), (2, 2), (2, 3), (4, 0), (4, 1), (4, 2), (4, 3)];
        foreach (var train in ZeroCase.Ways)
        {
            foreach (var (world, stage) in divisions)
            {
                results.Add(Start<ZeroMemoryResult>(world, "zero", $"{train}:{stage}"));
            }
        }

        Write("scaling-memory-measured.md", ZeroTables.Memory(results));
    }

    /// <summary>Exchanges that take longer.</summary>
    public void Overlap() =>
        Write("scaling-overlap-measured.md", ZeroTables.Overlap(Start<List<ZeroOverlapResult>>(2, "overlap", "overlap")));

    private T Start<T>(int world, string bench, string @case)
    {
        shell.Cancellation.ThrowIfCancellationRequested();
        var file = Path.GetTempFileName();
        try
        {
            var code = MpirunJob.Run(shell, world, ["bench", bench, "--case", @case, "--result", file], false);
            return code == ExitCode.Ok && JsonSerializer.Deserialize<T>(File.ReadAllText(file), Json) is { } result ? result
                : throw new UserErrorException($"bench {bench}: the {world} processes of {@case} ended with code {code}");
        }
        finally
        {
            File.Delete(file);
        }
    }

    private void Write(string name, string text)
    {
        Directory.CreateDirectory(folder);
        AtomicFile.WriteText(Path.Combine(folder, name), text);
        shell.Out.Write(text);
    }
}
