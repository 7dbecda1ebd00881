using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlavaSharp.Tests.Training;

/// <summary>What two runs must have in common to be the same run.</summary>
internal static class RunFolder
{
    // Times and memory, and the report that shows them.
    private static readonly string[] Changing =
        ["seconds", "data_wait_seconds", "samples_per_second", "tokens_per_second", "resident_bytes"];

    private static readonly string[] WithTimes = ["log.jsonl", "report.html", "trainer_state.json", "train_config.json"];

    /// <summary>Lines of log.jsonl without times; numbers as they are written.</summary>
    public static string[] Log(string folder) => [.. File.ReadAllLines(Path.Combine(folder, "log.jsonl")).Select(line =>
    {
        var json = JsonNode.Parse(line)!.AsObject();
        Array.ForEach(Changing, name => json.Remove(name));
        return json.ToJsonString();
    })];

    /// <summary>Results have the same bytes, logs the same numbers.</summary>
    public static void AssertSame(string expected, string actual)
    {
        Assert.Equal(Log(expected), Log(actual));
        string[] results = [.. Directory.GetFiles(expected).Select(f => Path.GetFileName(f)!).Where(
            f => !WithTimes.Contains(f) && !f.StartsWith("events.", StringComparison.Ordinal)).Order()];
        Assert.NotEmpty(results);
        foreach (var file in results)
        {
            byte[] wanted = File.ReadAllBytes(Path.Combine(expected, file)), given = File.ReadAllBytes(Path.Combine(actual, file));
            Assert.True(wanted.AsSpan().SequenceEqual(given), file);
        }

        Assert.Equal(Losses(expected), Losses(actual));
    }

    private static double[] Losses(string folder) =>
    [
        .. JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "trainer_state.json"))).RootElement
            .GetProperty("log_history").EnumerateArray().Select(step => step.GetProperty("loss").GetDouble()),
    ];

    public static string[] Checkpoints(string folder) =>
        [.. Directory.GetDirectories(folder).Select(d => Path.GetFileName(d)!).Order(StringComparer.Ordinal)];

    /// <summary>Flips a bit in the middle of a file.</summary>
    public static void Damage(string file)
    {
        var bytes = File.ReadAllBytes(file);
        bytes[bytes.Length / 2] ^= 1;
        File.WriteAllBytes(file, bytes);
    }
}
