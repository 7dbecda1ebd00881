using System.Globalization;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Trials;

/// <summary>docs/distributed.md: each trial writes its own part anew, between two marks.</summary>
internal static class Report
{
    /// <summary>Puts a part in its place, or at the end where there was none.</summary>
    /// <param name="path">The document.</param>
    /// <param name="part">The trial's name.</param>
    /// <param name="lines">Markdown.</param>
    public static void Write(string path, string part, IEnumerable<string> lines)
    {
        var (begin, end) = ($"<!-- {part}: written by ./build.sh distributed {part} -->", $"<!-- {part}: end -->");
        var text = string.Join('\n', [begin, "", .. lines, "", end]);
        var document = File.Exists(path) ? File.ReadAllText(path) : "";
        var (from, to) = (document.IndexOf(begin, StringComparison.Ordinal), document.IndexOf(end, StringComparison.Ordinal));
        AtomicFile.WriteText(path, from >= 0 && to > from
            ? document[..from] + text + document[(to + end.Length)..]
            : document + (document.Length == 0 || document.EndsWith("\n\n", StringComparison.Ordinal) ? "" : "\n") + text + "\n");
    }

    /// <summary>A number as the tables have it: 0 exactly, else two digits.</summary>
    public static string Figure(double value) => value == 0 ? "0" : value.ToString("0.0e-0", CultureInfo.InvariantCulture);
}
