using System.Globalization;
using System.Text.Json;
using LlavaSharp.Interop;
using LlavaSharp.Training;
using LlavaSharp.Zero;

namespace LlavaSharp.Tests.Zero;

/// <summary>Trains with several ranks that are threads of this process.</summary>
internal static class RankRun
{
    /// <summary>Runs <c>train</c>'s arguments on every rank; what each threw, or null.</summary>
    public static Exception?[] Try(
        int world, string[] arguments, Func<int, TrainOptions, TrainOptions>? change = null, CancellationToken[]? stops = null)
    {
        var address = Guid.NewGuid().ToString();
        var errors = new Exception?[world];
        Thread[] threads = [.. Enumerable.Range(0, world).Select(rank => new Thread(() =>
        {
            try
            {
                var place = new RankPlace(rank, world, rank, CommunicatorKind.Local, "the test") { Address = address };
                var options = TrainOptionsParser.Parse(arguments[1..], world).Options with { Place = place, Threads = 1, DdpTimeout = 120 };
                FineTune.Run(change?.Invoke(rank, options) ?? options, NullProgress.Instance, null, stops?[rank] ?? default);
            }
            catch (Exception e)
            {
                errors[rank] = e;
            }
        }))];
        Array.ForEach(threads, t => t.Start());
        Array.ForEach(threads, t => t.Join());
        return errors;
    }

    /// <summary>Runs that must succeed.</summary>
    public static void Succeed(int world, string[] arguments) =>
        Assert.All(Try(world, arguments), e => Assert.True(e is null, e?.ToString()));

    public static double[] Losses(string folder) => Values(folder, "loss");

    public static double[] Values(string folder, string name) =>
    [
        .. File.ReadLines(Path.Combine(folder, "log.jsonl")).Select(l => JsonDocument.Parse(l).RootElement.GetProperty(name))
            .Select(v => v.ValueKind == JsonValueKind.Null ? double.NaN : v.GetDouble()),
    ];

    public static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);
}
