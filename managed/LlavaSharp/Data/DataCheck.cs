namespace LlavaSharp.Data;

/// <summary>Checks every sample of a data file, on several threads.</summary>
public static class DataCheck
{
    /// <summary>Checks a file.</summary>
    /// <param name="dataset">The file, opened with <see cref="SampleDataset.OpenTolerant"/>.</param>
    /// <param name="checker">The rules.</param>
    /// <param name="workers">How many samples are checked at the same time; at least 1.</param>
    /// <param name="progress">Called after every sample, from several threads, with how many are done and how many have faults.</param>
    /// <param name="cancellation">Stops the check.</param>
    /// <returns>The samples with a fault, in file order; one fault each, the first that was found.</returns>
    public static IReadOnlyList<SampleProblem> Run(
        SampleDataset dataset,
        SampleChecker checker,
        int workers,
        Action<int, int>? progress = null,
        CancellationToken cancellation = default)
    {
        var problems = new SampleProblem?[dataset.Count];
        var (done, bad) = (0, 0);
        var options = new ParallelOptions { MaxDegreeOfParallelism = Math.Max(1, workers), CancellationToken = cancellation };
        Parallel.For(0, dataset.Count, options, i =>
        {
            var problem = dataset.Problem(i) ?? checker.Check(dataset[i], i);
            problems[i] = problem;
            progress?.Invoke(Interlocked.Increment(ref done), problem is null ? Volatile.Read(ref bad) : Interlocked.Increment(ref bad));
        });
        return [.. problems.OfType<SampleProblem>()];
    }
}
