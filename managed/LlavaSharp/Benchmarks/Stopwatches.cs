using System.Diagnostics;

namespace LlavaSharp.Benchmarks;

/// <summary>How a short piece of work is timed.</summary>
internal static class Stopwatches
{
    /// <summary>Median time of one call, after a tenth of the time spent on warming up.</summary>
    /// <param name="body">The work.</param>
    /// <param name="seconds">About how long to go on; at least five calls are made.</param>
    /// <param name="cancellation">Stops.</param>
    /// <returns>Seconds.</returns>
    public static double Median(Action body, double seconds, CancellationToken cancellation)
    {
        // The runtime compiles hot loops again in the background; their first version is not what is asked for.
        for (long begin = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds / 4;)
        {
            body();
        }

        List<double> times = [];
        for (long begin = Stopwatch.GetTimestamp(); times.Count < 5 || Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds;)
        {
            cancellation.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            body();
            times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        times.Sort();
        return times[times.Count / 2];
    }
}
