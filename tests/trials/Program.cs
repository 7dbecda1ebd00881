using System.Diagnostics;
using System.Globalization;
using LlavaSharp.Trials;

// trials [matrix|faults|mixtures|hosts|loading|stops] [--out FILE] [--updates N] [--assignments N]: jobs of real processes,
// and what they showed.
var clock = Stopwatch.StartNew();
string path = Option("--out", "docs/distributed.md");
var trials = new Dictionary<string, Func<Task<bool>>>
{
    ["matrix"] = RunMatrix,
    ["faults"] = RunFaults,
    ["mixtures"] = RunMixtures,
    ["hosts"] = RunHosts,
    ["loading"] = RunLoading,
    ["stops"] = RunStops,
};
string[] chosen = args is [var first, ..] && !first.StartsWith("--", StringComparison.Ordinal) ? [first] : [.. trials.Keys];
if (chosen.FirstOrDefault(c => !trials.ContainsKey(c)) is { } unknown)
{
    Console.Error.WriteLine($"error: there is no trial '{unknown}': {string.Join(", ", trials.Keys)}");
    return 2;
}

var holds = true;
foreach (var trial in chosen)
{
    holds &= await trials[trial]();
}

Say($"{(holds ? "all holds" : "NOT AS IT MUST BE")}; see {path}");
return holds ? 0 : 1;

string Option(string name, string missing) => Array.IndexOf(args, name) is var at and >= 0 && at + 1 < args.Length ? args[at + 1] : missing;

int Number(string name, int missing) => int.Parse(Option(name, $"{missing}"), NumberStyles.None, CultureInfo.InvariantCulture);

void Say(string line) => Console.Error.WriteLine($"{clock.Elapsed:hh\\:mm\\:ss}  {line}");

async Task<bool> RunMatrix()
{
    var updates = Number("--updates", 50);
    using var matrix = new Matrix(updates);
    var (cases, results) = (Matrix.All.ToArray(), new List<Matrix.Result>());
    foreach (var what in cases)
    {
        var result = await matrix.Run(what);
        results.Add(result);
        Say($"matrix {results.Count}/{cases.Length}: {result}{(result.Holds ? "" : "  FAILS")}");
    }

    Report.Write(path, "matrix", MatrixTable.Of(results, updates));
    return results.All(r => r.Holds);
}

async Task<bool> RunFaults()
{
    using var faults = new Faults();
    var (cases, results) = (Faults.All.ToArray(), new List<Faults.Result>());
    foreach (var what in cases)
    {
        var result = await faults.Run(what);
        results.Add(result);
        Say($"faults {results.Count}/{cases.Length}: {what}: {string.Join(" / ", result.Messages)} {(result.Holds && result.InTime ? "" : $" FAILS: {result}")}");
    }

    Report.Write(path, "faults", FaultTable.Of(results));
    return results.All(r => r.Holds && r.InTime);
}

async Task<bool> RunMixtures()
{
    using var mixtures = new Mixtures();
    var updates = Number("--assignments", 1000);
    var result = await mixtures.Run(updates);
    Say($"mixtures: {result}");
    Report.Write(path, "mixtures", result.Lines);
    return result.Holds(updates);
}

async Task<bool> RunHosts()
{
    using var hosts = new Hosts();
    var results = new List<Hosts.Result>();
    foreach (var how in Hosts.All)
    {
        var result = await hosts.Run(how);
        Say($"hosts, {how}: {(result.Skipped is { } why ? $"skipped: {why}" : string.Join(" / ", result.Messages))}{(result.Holds && result.InTime ? "" : $" FAILS: {result}")}");
        results.Add(result);
    }

    Report.Write(path, "hosts", HostsTable.Of(results));
    return results.All(r => r.Holds && r.InTime);
}

async Task<bool> RunLoading()
{
    using var loading = new Loading();
    var result = await loading.Run();
    Say($"loading: {result}{(result.Holds ? "" : "  FAILS")}");
    Report.Write(path, "loading", result.Lines);
    return result.Holds;
}

async Task<bool> RunStops()
{
    using var stops = new Stops();
    var results = new List<Stops.Result>();
    foreach (var what in Stops.Cases)
    {
        var result = await stops.Run(what);
        Say($"stops, {what.Name} to {what.To}: {result.Seconds:0.0} s, {result.Bytes} bytes{(result.Holds ? "" : $" FAILS: {result}")}");
        results.Add(result);
    }

    Report.Write(path, "stops", StopsTable.Of(results));
    return results.All(r => r.Holds);
}
