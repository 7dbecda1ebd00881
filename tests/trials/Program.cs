using System.Diagnostics;
using System.Globalization;
using LlavaSharp.Trials;

// trials [matrix|faults] [--out FILE] [--updates N]: jobs of real processes, and tables of what they showed.
var clock = Stopwatch.StartNew();
string path = Option("--out", "docs/distributed.md");
var trials = new Dictionary<string, Func<Task<bool>>> { ["matrix"] = RunMatrix, ["faults"] = RunFaults };
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

void Say(string line) => Console.Error.WriteLine($"{clock.Elapsed:hh\\:mm\\:ss}  {line}");

async Task<bool> RunMatrix()
{
    var updates = int.Parse(Option("--updates", "50"), CultureInfo.InvariantCulture);
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
        Say($"faults {results.Count}/{cases.Length}: {what}: {string.Join(" / ", result.Messages)} {(result.Holds ? "" : $" FAILS: {result}")}");
    }

    Report.Write(path, "faults", FaultTable.Of(results));
    return results.All(r => r.Holds);
}
