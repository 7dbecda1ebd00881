using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using LlavaSharp.Checkpoints;
using LlavaSharp.Data;

namespace LlavaSharp.Training;

/// <summary>
/// The samples that a run left out, each once: the first few are said at once, all are in bad_samples.jsonl of the output
/// folder when the run ends. A resumed run goes on with the file it finds.
/// </summary>
internal sealed class SkippedSamples
{
    /// <summary>The file's name.</summary>
    public const string FileName = "bad_samples.jsonl";

    private const string OfRank = "bad_samples.rank-";

    private const int Said = 10;

    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly SortedDictionary<int, SampleProblem> _problems = [];

    private readonly string _path;

    private readonly IProgressSink _progress;

    public SkippedSamples(string folder, bool resumed, IProgressSink progress, int rank = 0)
    {
        // Each process writes down what it has met itself.
        var name = rank == 0 ? FileName : string.Create(CultureInfo.InvariantCulture, $"{OfRank}{rank}.jsonl");
        (_path, _progress) = (Path.Combine(folder, name), progress);
        if (!resumed)
        {
            // Of an earlier run, whose samples may have been corrected since.
            File.Delete(_path);
        }

        foreach (var line in resumed && File.Exists(_path) ? File.ReadLines(_path) : [])
        {
            if (Parse(line) is { } problem)
            {
                _problems[problem.Index] = problem;
            }
        }
    }

    /// <summary>Whether a file name is that of such a report, of whichever process.</summary>
    public static bool IsReport(string name) =>
        name == FileName || (name.StartsWith(OfRank, StringComparison.Ordinal) && name.EndsWith(".jsonl", StringComparison.Ordinal));

    /// <summary>How many samples were left out.</summary>
    public int Count => _problems.Count;

    /// <summary>A line of the report: an object with <c>index</c>, <c>fault</c> and <c>message</c>.</summary>
    public static string Line(SampleProblem problem) => JsonSerializer.Serialize(
        new { index = problem.Index, fault = Name(problem.Fault), message = problem.Message }, Readable);

    /// <summary>A fault's name in reports: small letters and underscores.</summary>
    public static string Name(SampleFault fault) => JsonNamingPolicy.SnakeCaseLower.ConvertName(fault.ToString());

    /// <summary>Takes a sample down.</summary>
    public void Add(SampleProblem problem)
    {
        if (_problems.TryAdd(problem.Index, problem) && _problems.Count <= Said)
        {
            var more = _problems.Count == Said ? $"; further ones are only in {FileName}" : "";
            _progress.Warn($"sample {problem.Index} is left out: {problem.Message}{more}");
        }
    }

    /// <summary>Writes the file, if there is anything to write, and says how many of which kind.</summary>
    public void Write()
    {
        if (_problems.Count == 0)
        {
            return;
        }

        AtomicFile.WriteText(_path, string.Concat(_problems.Values.Select(p => Line(p) + "\n")));
        var kinds = _problems.Values.GroupBy(p => p.Fault).OrderByDescending(g => g.Count())
            .Select(g => string.Create(CultureInfo.InvariantCulture, $"{g.Count()} {Name(g.Key)}"));
        _progress.Note($"left out {_problems.Count} bad samples ({string.Join(", ", kinds)}): {Path.GetFullPath(_path)}");
    }

    private static SampleProblem? Parse(string line)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            var fault = Enum.GetValues<SampleFault>().First(f => Name(f) == json.RootElement.GetProperty("fault").GetString());
            return new(json.RootElement.GetProperty("index").GetInt32(), fault, json.RootElement.GetProperty("message").GetString() ?? "");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            // Written by someone else: the run finds the sample again.
            return null;
        }
    }
}
