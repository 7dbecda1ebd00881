using System.Runtime.ExceptionServices;

namespace LlavaSharp.Data;

/// <summary>Checks every sample of a data file, on several threads.</summary>
public static class DataCheck
{
    /// <summary>Checks a file.</summary>
    /// <param name="dataset">The file, opened with <see cref="SampleDataset.OpenTolerant"/>.</param>
    /// <param name="checker">The rules.</param>
    /// <param name="workers">How many samples are checked at the same time; at least 1.</param>
    /// <param name="progress">Called after every sample, from several threads, with how many are done and how many have faults
    /// (notes do not count).</param>
    /// <param name="cancellation">Stops the check.</param>
    /// <returns>The samples with a fault or a note, in file order: one each, the first that was found, a fault before a note.</returns>
    /// <exception cref="UserErrorException">The file has changed since it was opened.</exception>
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
        try
        {
            Parallel.For(0, dataset.Count, options, Check);
        }
        catch (AggregateException e)
        {
            // Several workers may have failed, and for one reason: the first one's words are the user's line.
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }

        return [.. problems.OfType<SampleProblem>()];

        void Check(int i)
        {
            var known = dataset.Problem(i);
            var found = known is { IsNote: false } ? known : checker.Check(dataset[i], i);
            problems[i] = found is { IsNote: false } ? found : known ?? found;
            var faults = found is { IsNote: false } ? Interlocked.Increment(ref bad) : Volatile.Read(ref bad);
            progress?.Invoke(Interlocked.Increment(ref done), faults);
        }
    }
}
