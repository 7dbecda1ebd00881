namespace LlavaSharp.Trials;

/// <summary>
/// Samples with and without pictures fall on four real ranks of stage 3 as chance has it, update after update of one job: each rank's
/// micro-batch is of text alone, of pictures alone or of both, whatever the others have. Every update's loss is one process's.
/// </summary>
internal sealed class Mixtures : IDisposable
{
    private const int World = 4;

    // Half without pictures: a micro-batch of two is of each sort often.
    private readonly RankData _data = new(textEvery: 2);

    /// <summary>Runs so many assignments, and compares.</summary>
    public async Task<Result> Run(int updates)
    {
        var (alone, many) = (_data.Tiny["alone"], _data.Tiny["many"]);

        // Slow learning: were the weights to part, the losses of a thousand updates would tell of that alone.
        string[] more = ["--learning_rate", "1e-5"];
        await Job.Succeed(_data.Train("all", alone, 0, World, updates, ["--data_path", _data.InOrder(updates * World), .. more]));
        await Job.Succeed(RankData.Launch(World, _data.Train("all", many, 3, 1, updates, more)));
        var (expected, actual) = (Job.Logged(alone, "loss"), Job.Logged(many, "loss"));
        var sorts = _data.Sorts(updates * World).Chunk(World).ToArray();
        return new(
            actual.Length,
            expected.Zip(actual).Max(p => Math.Abs(p.First - p.Second) / p.First),
            sorts.Select(s => string.Concat(s)).Distinct().Count(),
            sorts.Count(s => s.Contains('t') && s.Distinct().Count() > 1),
            sorts.Count(s => s.All(c => c == 't')));
    }

    /// <inheritdoc/>
    public void Dispose() => _data.Dispose();

    /// <summary>What came of it.</summary>
    /// <param name="Updates">Assignments.</param>
    /// <param name="Loss">The largest relative difference of a loss.</param>
    /// <param name="Patterns">Different assignments of text, pictures and both to the ranks, of 81.</param>
    /// <param name="Apart">In how many a rank had text alone and another had pictures.</param>
    /// <param name="Texts">In how many no rank had a picture.</param>
    public sealed record Result(int Updates, double Loss, int Patterns, int Apart, int Texts)
    {
        /// <summary>Whether it is as it must be.</summary>
        public bool Holds(int updates) => Updates == updates && Loss <= Matrix.Bound;

        /// <summary>As Markdown.</summary>
        public IEnumerable<string> Lines =>
        [
            "## Random assignments of samples to ranks",
            "",
            $"{Updates} updates of one job of {World} processes at stage 3, two samples a rank, half of all samples without a picture, in a random order: each",
            $"update is a random assignment of micro-batches of text, of pictures and of both to the ranks. {Patterns} of the 81 assignments of these sorts came",
            $"up; in {Apart} updates a rank had text alone while another had pictures, in {Texts} none had a picture. None hung; the largest relative difference",
            $"of a loss to one process on the same micro-batches is {Report.Figure(Loss)}, of a bound of 1e-5.",
        ];
    }
}
