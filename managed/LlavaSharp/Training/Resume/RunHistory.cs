using System.Text.Json;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Training.Resume;

/// <summary>
/// history.jsonl of a checkpoint: every update so far. What a run leaves about itself (log.jsonl, events, trainer_state.json,
/// report.html) follows from it, so that a resumed run writes them as if it had never stopped.
/// </summary>
public static class RunHistory
{
    /// <summary>File name in the checkpoint.</summary>
    public const string FileName = "history.jsonl";

    /// <summary>Writes the file.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="steps">Every update, in order.</param>
    public static void Write(string folder, IReadOnlyList<StepRecord> steps) =>
        AtomicFile.Write(Path.Combine(folder, FileName), file =>
        {
            foreach (var step in steps)
            {
                RunLog.WriteLine(file, step);
            }
        });

    /// <summary>Reads the file.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="totalSteps">Updates that the run now has.</param>
    /// <returns>Every update, in order.</returns>
    /// <exception cref="UserErrorException">It is not such a file.</exception>
    public static IReadOnlyList<StepRecord> Read(string folder, int totalSteps)
    {
        var path = Path.Combine(folder, FileName);
        try
        {
            return [.. File.ReadLines(path).Select(line => Parse(line, totalSteps))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException
            or KeyNotFoundException or FormatException)
        {
            throw new UserErrorException($"{path} is not the history of a run: {e.Message}", e);
        }
    }

    private static StepRecord Parse(string line, int totalSteps)
    {
        using var document = JsonDocument.Parse(line);
        var json = document.RootElement;
        return new()
        {
            Step = json.GetProperty("step").GetInt32(),
            TotalSteps = totalSteps,
            Epoch = Number("epoch"),
            Loss = Number("loss"),
            LearningRate = Number("learning_rate"),
            GradientNorm = Number("grad_norm"),
            Samples = json.GetProperty("samples").GetInt32(),
            Tokens = json.GetProperty("tokens").GetInt32(),
            SupervisedTokens = json.GetProperty("supervised_tokens").GetInt32(),
            SkippedSamples = Count(json, "skipped_samples"),
            RecipeMasked = Count(json, "recipe_masked"),
            Seconds = Number("seconds"),
            DataWaitSeconds = Number("data_wait_seconds"),
            Flops = Number("flops"),
            ResidentBytes = json.GetProperty("resident_bytes").GetInt64(),
        };

        double Number(string name) =>
            json.GetProperty(name) is { ValueKind: JsonValueKind.Number } number ? number.GetDouble() : double.NaN;
    }

    /// <summary>Logs of before these were counted have none.</summary>
    private static int Count(JsonElement json, string name) => json.TryGetProperty(name, out var value) ? value.GetInt32() : 0;
}
