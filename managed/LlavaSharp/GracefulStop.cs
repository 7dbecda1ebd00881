namespace LlavaSharp;

/// <summary>Counts work that ends by itself, in order, once it is asked to stop: a training loop that saves first, a launcher that waits
/// for its processes. While there is none, a program that is asked to stop may end at once.</summary>
public static class GracefulStop
{
    private static int Count;

    /// <summary>Whether any such work is going on in this process.</summary>
    public static bool IsActive => Volatile.Read(ref Count) > 0;

    /// <summary>Begins such work.</summary>
    /// <returns>Dispose it when the work has ended.</returns>
    public static IDisposable Begin()
    {
        Interlocked.Increment(ref Count);
        return new Work();
    }

    private sealed class Work : IDisposable
    {
        private int _ended;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _ended, 1) == 0)
            {
                Interlocked.Decrement(ref Count);
            }
        }
    }
}
