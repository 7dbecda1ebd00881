using System.Globalization;

namespace LlavaSharp.Trials;

/// <summary>The faults as Markdown.</summary>
internal static class FaultTable
{
    /// <summary>Its lines.</summary>
    public static IEnumerable<string> Of(IReadOnlyList<Faults.Result> results) =>
    [
        "## Injected faults, at real ranks",
        "",
        $"{results.Count} jobs under `llavasharp launch`, with `--ddp_timeout {Faults.Deadline}` and a checkpoint after every update; the fault comes in the update that is",
        "given, counted from 0. *Seconds*: from that update's checkpoint being whole, some milliseconds before the fault, until every process is gone.",
        "Each must end with exactly one line of ours (it is shown; nothing of mpirun's own reaches the user), leave no process and a whole last checkpoint,",
        $"and the same command, given again, must end with the undisturbed run's bytes: losses, norms, weights. {results.Count(r => r.Holds && r.InTime)} of {results.Count} do;",
        string.Create(CultureInfo.InvariantCulture, $"the slowest took {results.Max(r => r.Seconds):0.0} s."),
        "",
        "| fault | rank | update | stage | ranks | seconds | exit code | left over | checkpoint | resumed | message |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        .. results.Select(r => string.Create(
            CultureInfo.InvariantCulture,
            $"| {r.Case.Kind} | {r.Case.Rank} | {r.Case.Step} | {r.Case.Stage} | {r.Case.World} | {r.Seconds:0.0} | {r.Code} | {r.Orphans} "
            + $"| {r.Damage ?? "whole"} | {(r.Same ? "same bytes" : "DIFFERS")} | {(r.Messages.Length == 1 ? r.Messages[0] : $"{r.Messages.Length} lines")} |")),
    ];
}
