namespace LlavaSharp.Trials;

/// <summary>
/// Runs over real ranks against one process on the same global batches: rank r takes micro-batches r, r + W, … of an order, so W ranks
/// that accumulate A are one process that accumulates A·W.
/// </summary>
internal sealed class Matrix : IDisposable
{
    /// <summary>The bound on losses, and on each tensor of the result.</summary>
    public const double Bound = 1e-5;

    private readonly RankData _data = new();
    private readonly int _updates;
    private readonly Dictionary<(string, int), string> _alone = [];
    private int _runs;

    public Matrix(int updates) => _updates = updates;

    /// <summary>Every combination.</summary>
    public static IEnumerable<Case> All =>
        from trains in RankData.Kinds
        from stage in Enumerable.Range(0, 4)
        from accumulation in (int[])[1, 3]
        from world in (int[])[1, 2, 4]
        select new Case(trains, stage, accumulation, world);

    /// <summary>Runs a combination twice, and compares.</summary>
    public async Task<Result> Run(Case what)
    {
        var alone = await Alone(what.Trains, what.Accumulation * what.World);
        var (once, twice) = (await Ranks(what), await Ranks(what));
        var weights = Weights.Compare(alone, once);
        var result = new Result(
            what,
            Largest(Job.Logged(alone, "loss"), Job.Logged(once, "loss")),
            Largest(Job.Logged(alone, "grad_norm"), Job.Logged(once, "grad_norm")),
            weights.Difference,
            weights.Tensor,
            Weights.Hash(once) == Weights.Hash(twice) && Numbers(once).SequenceEqual(Numbers(twice)));
        Directory.Delete(once, recursive: true);
        Directory.Delete(twice, recursive: true);
        return result;
    }

    /// <inheritdoc/>
    public void Dispose() => _data.Dispose();

    private static IEnumerable<double> Numbers(string folder) => Job.Logged(folder, "loss").Concat(Job.Logged(folder, "grad_norm"));

    private static double Largest(double[] expected, double[] actual) => expected.Length == actual.Length
        ? expected.Zip(actual).Max(p => p.First == p.Second ? 0 : Math.Abs(p.First - p.Second) / Math.Abs(p.First))
        : throw new TrialException($"{actual.Length} updates instead of {expected.Length}");

    private async Task<string> Alone(string trains, int accumulation)
    {
        if (!_alone.TryGetValue((trains, accumulation), out var folder))
        {
            _alone[(trains, accumulation)] = folder = _data.Tiny[$"{trains}-{accumulation}"];
            await Job.Succeed(_data.Train(trains, folder, 0, accumulation, _updates, "--data_path", _data.InOrder(_updates * accumulation)));
        }

        return folder;
    }

    private async Task<string> Ranks(Case what)
    {
        var folder = _data.Tiny[$"run{_runs++}"];
        var data = what.World == 1 ? _data.InOrder(_updates * what.Accumulation) : _data.Data;
        await Job.Succeed(RankData.Launch(
            what.World, _data.Train(what.Trains, folder, what.Stage, what.Accumulation, _updates, "--data_path", data)));
        return folder;
    }

    /// <summary>A combination.</summary>
    public sealed record Case(string Trains, int Stage, int Accumulation, int World);

    /// <summary>What came of it: relative differences to one process, the tensor that differs most, and whether two runs gave the same
    /// bytes.</summary>
    public sealed record Result(Case Case, double Loss, double Norm, double Weights, string Tensor, bool SameBytes)
    {
        /// <summary>Whether it is as it must be; one rank must give one process's bytes.</summary>
        public bool Holds => SameBytes && (Case.World == 1 ? Loss == 0 && Weights == 0 : Loss <= Bound && Weights <= Bound);
    }
}
