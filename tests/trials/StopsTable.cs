using System.Globalization;

namespace LlavaSharp.Trials;

/// <summary>The stops as Markdown.</summary>
internal static class StopsTable
{
    /// <summary>Its lines.</summary>
    public static IEnumerable<string> Of(IReadOnlyList<Stops.Result> results) =>
    [
        "## Stopping with a large checkpoint",
        "",
        "Two processes under `llavasharp launch` train 205 million parameters, stage 2, and get a signal in mid-step. Each job must end with 130, a",
        string.Create(
            CultureInfo.InvariantCulture,
            $"whole checkpoint of over {Stops.Least / 1e9:0} GB and nothing else, and leave no process. *Seconds*: from the signal to the end."),
        "",
        "| signal | sent to | seconds | exit code | checkpoint, GB | checkpoint | folders | left over |",
        "|---|---|---|---|---|---|---|---|",
        .. results.Select(r => string.Create(
            CultureInfo.InvariantCulture,
            $"| {r.Case.Name} | {r.Case.To} | {r.Seconds:0.0} | {r.Code} | {r.Bytes / 1e9:0.00} | {r.Damage ?? "whole"} | {r.Folders} | {r.Orphans} |")),
    ];
}
