using System.Globalization;
using System.Text.RegularExpressions;

namespace LlavaSharp.Cli;

/// <summary>
/// What comes out of Open MPI's mpirun: the ranks' own lines, which are passed on, and between lines of dashes its words about how a job
/// ended. Of those, what a rank has said better or launch will say is left out; all else is passed on.
/// </summary>
/// <param name="error">Receives what is passed on.</param>
internal sealed partial class MpirunOutput(TextWriter error)
{
    private static readonly string[] Known =
    [
        "MPI_ABORT was invoked on rank", "Primary job  terminated normally, but", "mpirun noticed that process rank",
        "mpirun detected that one or more processes exited with non-zero status",
    ];

    private List<string>? _block;

    /// <summary>The rank that a signal ended, which ended the others, and the signal in words; null when there was none.</summary>
    public (int Rank, string Signal)? Lost { get; private set; }

    /// <summary>Whether a rank has said itself what went wrong.</summary>
    public bool Explained { get; private set; }

    /// <summary>Takes a line.</summary>
    /// <param name="line">Without its end.</param>
    public void Take(string line)
    {
        if (Dashes().IsMatch(line))
        {
            if (_block is null)
            {
                _block = [line];
                return;
            }

            _block.Add(line);
            Close();
        }
        else if (_block is not null)
        {
            _block.Add(line);
        }
        else if (!Summary().IsMatch(line) && !Forwarding().IsMatch(line))
        {
            Say(line);
        }
    }

    /// <summary>There are no more lines.</summary>
    public void End()
    {
        if (_block is not null)
        {
            Close();
        }
    }

    // The first error is the cause: ranks that gave up waiting in the same moment say less.
    private void Say(string line)
    {
        var isError = line.StartsWith("error: ", StringComparison.Ordinal) || line.StartsWith("internal error: ", StringComparison.Ordinal);
        if (!isError || !Explained)
        {
            error.WriteLine(line);
            error.Flush();
        }

        Explained |= isError;
    }

    private void Close()
    {
        var block = _block!;
        _block = null;
        var text = string.Join('\n', block);
        if (Signalled().Match(text) is { Success: true } match)
        {
            var name = match.Groups["name"].Value;
            Lost ??= (int.Parse(match.Groups["rank"].Value, CultureInfo.InvariantCulture), $"signal {match.Groups["signal"].Value}, {name}");
        }

        if (!Known.Any(k => text.Contains(k, StringComparison.Ordinal)))
        {
            block.ForEach(error.WriteLine);
            error.Flush();
        }
    }

    [GeneratedRegex("^-{40,}$")]
    private static partial Regex Dashes();

    // How many more of the same words were left out, and how to see them.
    [GeneratedRegex(@"^\[[^\]]+\] (\d+ more process(es)? ha(s|ve) sent help message|Set MCA parameter ""orte_base_help_aggregate"")")]
    private static partial Regex Summary();

    // What launch asked it for.
    [GeneratedRegex(@"^mpirun: Forwarding signal \d+ to job$")]
    private static partial Regex Forwarding();

    [GeneratedRegex(@"process rank (?<rank>\d+) with PID \d+ on node \S+ exited on\s+signal (?<signal>\d+) \((?<name>[^)]*)\)")]
    private static partial Regex Signalled();
}
