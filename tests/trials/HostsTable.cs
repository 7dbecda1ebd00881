using System.Globalization;

namespace LlavaSharp.Trials;

/// <summary>The hosts as Markdown.</summary>
internal static class HostsTable
{
    /// <summary>Its lines.</summary>
    public static IEnumerable<string> Of(IReadOnlyList<Hosts.Result> results) =>
    [
        "## Two hosts",
        "",
        "Network namespaces with a cable (veth) between them, the program on either, stage 3. A job of 8 updates must leave the bytes that two processes",
        $"on one host leave; another's cable is cut in mid-step, and both ends must name the other's rank (`--ddp_timeout {Hosts.Deadline}`).",
        "",
        "| started by | whole job | seconds from the cut to the end | exit codes | left over | words on host 0 | words on host 1 |",
        "|---|---|---|---|---|---|---|",
        .. results.Select(r => r.Skipped is { } why ? $"| {r.How} | skipped: {why} | | | | | |" : string.Create(
            CultureInfo.InvariantCulture,
            $"| {r.How} | {(r.SameBytes ? "same bytes" : "DIFFERS")} | {r.Seconds:0.0} | {string.Join(", ", r.Codes)} | {r.Orphans} "
            + $"| {r.Messages[0]} | {r.Messages[1]} |")),
    ];
}
