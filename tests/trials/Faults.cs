using LlavaSharp.Training.Resume;

namespace LlavaSharp.Trials;

/// <summary>
/// A rank of a real job is killed, stands still, sends another size or brings a number that is none; the job must end by itself with one
/// line, leave no process and a whole checkpoint, and go on from it as if nothing had been.
/// </summary>
internal sealed class Faults : IDisposable
{
    /// <summary>Seconds that a rank waits for another: several times what a loaded machine needs.</summary>
    public const int Deadline = 15;

    /// <summary>Seconds from the last checkpoint before the fault until all processes are gone, at most. The suite does not
    /// judge them.</summary>
    public const double Limit = Deadline + 17;

    private const int Updates = 7;

    private readonly RankData _data = new();
    private readonly Dictionary<(int, int), string> _undisturbed = [];
    private int _runs;

    /// <summary>Every combination.</summary>
    public static IEnumerable<Case> All =>
    [
        .. from kind in (string[])["kill", "stall", "wrong_size", "nan"]
           from stage in Enumerable.Range(0, 4)
           from at in (Case[])[new(kind, 1, 3, stage, 2), new(kind, 0, 5, stage, 2), new(kind, 2, 1, stage, 4)]
           where at.World == 2 || stage == 3
           select at,
    ];

    /// <summary>Runs one, and goes on after it.</summary>
    public async Task<Result> Run(Case what)
    {
        if (!_undisturbed.TryGetValue((what.Stage, what.World), out var whole))
        {
            _undisturbed[(what.Stage, what.World)] = whole = _data.Tiny[$"whole{what.Stage}-{what.World}"];
            await Job.Succeed(Command(what, whole));
        }

        var folder = _data.Tiny[$"cut{_runs++}"];
        var outcome = await Job.Run(Command(what, folder), $"LLAVASHARP_FAULT={what.Kind}:rank={what.Rank},step={what.Step}");
        var ended = DateTime.UtcNow;
        var orphans = Job.Orphans(folder).Length;
        var checkpoint = Path.Combine(folder, $"checkpoint-{what.Step}");
        var damage = CheckpointManifest.FindDamage(checkpoint);
        var seconds = (ended - File.GetLastWriteTimeUtc(Path.Combine(checkpoint, CheckpointManifest.FileName))).TotalSeconds;
        await Job.Succeed(Command(what, folder));
        var same = Weights.Hash(whole) == Weights.Hash(folder)
            && Job.Logged(whole, "loss").SequenceEqual(Job.Logged(folder, "loss"))
            && Job.Logged(whole, "grad_norm").SequenceEqual(Job.Logged(folder, "grad_norm"));
        Directory.Delete(folder, recursive: true);
        return new(what, outcome.Errors, outcome.Code, seconds, orphans, damage, outcome.Error.Contains("-----", StringComparison.Ordinal), same);
    }

    /// <inheritdoc/>
    public void Dispose() => _data.Dispose();

    private string[] Command(Case what, string folder) => RankData.Launch(what.World, _data.Train(
        "all", folder, what.Stage, 2, Updates, "--save_strategy", "steps", "--save_steps", "1", "--save_total_limit", "2", "--ddp_timeout", $"{Deadline}"));

    /// <summary>What happens, to which of how many ranks, in which update from 0, at which stage.</summary>
    public sealed record Case(string Kind, int Rank, int Step, int Stage, int World);

    /// <summary>What came of it: our lines, the exit code, the seconds until all were gone, processes left, what is wrong with the last
    /// checkpoint, whether mpirun's words reached the user, and whether the resumed run ended with the undisturbed one's bytes.</summary>
    public sealed record Result(Case Case, string[] Messages, int Code, double Seconds, int Orphans, string? Damage, bool Noise, bool Same)
    {
        /// <summary>Whether it ended soon enough.</summary>
        public bool InTime => Seconds < Limit;

        /// <summary>Whether it is as it must be, however long it took.</summary>
        public bool Holds => Messages.Length == 1 && Names(Messages[0]) && Code == (Case.Kind == "nan" ? 2 : 75) && Orphans == 0
            && Damage is null && !Noise && Same;

        private bool Names(string message) => message.Contains($"rank {Case.Rank}", StringComparison.Ordinal)
            && message.Contains($"step {Case.Step}", StringComparison.Ordinal)
            && message.Contains(" of ", StringComparison.Ordinal)
            && (Case.Kind == "nan" || message.Contains(" bytes", StringComparison.Ordinal));
    }
}
