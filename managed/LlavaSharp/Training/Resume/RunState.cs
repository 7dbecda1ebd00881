using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Training.Resume;

/// <summary>
/// state.json of a checkpoint: where the run stands and what it belongs to. Random draws are keyed by seed and place, and the
/// sampler's order follows from seed and epoch, so the counts below are the whole state of both.
/// </summary>
public sealed record RunState
{
    /// <summary>File name in the checkpoint.</summary>
    public const string FileName = "state.json";

    /// <summary>Updates done.</summary>
    public required int Step { get; init; }

    /// <summary>Processes.</summary>
    public int World { get; init; } = 1;

    /// <summary>Updates planned.</summary>
    public required int TotalSteps { get; init; }

    /// <summary>Micro-batches that each process has taken from the sampler's order: the data cursor.</summary>
    public required long MicroBatches { get; init; }

    /// <summary>AdamW's t; less than <see cref="Step"/> where updates had nothing to learn.</summary>
    public required long OptimizerSteps { get; init; }

    /// <summary>Seconds of training so far.</summary>
    public required double Seconds { get; init; }

    /// <summary>Threads of the engine.</summary>
    public required int Threads { get; init; }

    /// <summary>Seed of every draw.</summary>
    public required int Seed { get; init; }

    /// <summary>Shape of the learning rate over the run: kind, warm-up updates, all updates.</summary>
    public required LearningRateSchedule Schedule { get; init; }

    /// <summary>What the run belongs to.</summary>
    public required RunIdentity Identity { get; init; }

    /// <summary>Writes state.json into a folder.</summary>
    /// <param name="folder">The folder.</param>
    public void Write(string folder) => AtomicFile.WriteText(Path.Combine(folder, FileName), new JsonObject
    {
        ["format"] = 1,
        ["world"] = World,
        ["step"] = Step,
        ["total_steps"] = TotalSteps,
        ["micro_batches"] = MicroBatches,
        ["optimizer_steps"] = OptimizerSteps,
        ["seconds"] = Seconds,
        ["threads"] = Threads,
        ["random"] = new JsonObject { ["generator"] = "counter", ["seed"] = Seed, ["position"] = MicroBatches },
        ["schedule"] = new JsonObject
        {
            ["kind"] = Schedule.Kind.ToString(),
            ["warmup_steps"] = Schedule.WarmupSteps,
            ["total_steps"] = Schedule.TotalSteps,
        },
        ["identity"] = Identity.ToJson(),
    }.ToJsonString(ResolvedConfig.Readable) + "\n");

    /// <summary>Reads state.json of a checkpoint whose manifest has been checked.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <returns>The state.</returns>
    /// <exception cref="UserErrorException">It is of another format, or not one of ours.</exception>
    public static RunState Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        try
        {
            var json = JsonNode.Parse(File.ReadAllBytes(path))!;
            if (json["format"]!.GetValue<int>() is var format and not 1)
            {
                throw new UserErrorException(string.Create(
                    CultureInfo.InvariantCulture, $"{path}: format {format}; this build reads format 1, continue with the version that wrote it"));
            }

            var (schedule, random) = (json["schedule"]!, json["random"]!);
            return new()
            {
                World = json["world"]?.GetValue<int>() ?? 1,
                Step = json["step"]!.GetValue<int>(),
                TotalSteps = json["total_steps"]!.GetValue<int>(),
                MicroBatches = json["micro_batches"]!.GetValue<long>(),
                OptimizerSteps = json["optimizer_steps"]!.GetValue<long>(),
                Seconds = json["seconds"]!.GetValue<double>(),
                Threads = json["threads"]!.GetValue<int>(),
                Seed = random["seed"]!.GetValue<int>(),
                Schedule = new(
                    Enum.Parse<ScheduleKind>(schedule["kind"]!.GetValue<string>()),
                    schedule["warmup_steps"]!.GetValue<int>(),
                    schedule["total_steps"]!.GetValue<int>()),
                Identity = RunIdentity.FromJson(json["identity"]!),
            };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException
            or FormatException or NullReferenceException or ArgumentException)
        {
            throw new UserErrorException($"{path} is not the state of a run: {e.Message}", e);
        }
    }
}
