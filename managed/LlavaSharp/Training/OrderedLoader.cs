using System.Threading.Channels;

namespace LlavaSharp.Training;

/// <summary>
/// Prepares items on other threads and hands them over in the order asked for. A worker takes the next item of the order and
/// a place in a bounded queue in one step, so places are in order and at most so many items exist at once; the reader awaits
/// place after place. So the first bad item in order is the one that is reported, whichever failed first.
/// </summary>
public static class OrderedLoader
{
    /// <summary>Loads items.</summary>
    /// <typeparam name="T">What loading gives.</typeparam>
    /// <param name="order">What to load. Read lazily, by one thread at a time.</param>
    /// <param name="load">Loads one item; called from several threads.</param>
    /// <param name="workers">How many at the same time; 0 loads on the caller's thread, when asked.</param>
    /// <param name="ahead">How many may be loading or waiting; at least 1.</param>
    /// <param name="cancellation">Stops the loading.</param>
    /// <returns>The items, in order. Leaving early stops the loading and waits for what has begun.</returns>
    public static IEnumerable<T> Load<T>(
        IEnumerable<int> order, Func<int, T> load, int workers, int ahead, CancellationToken cancellation = default) =>
        workers == 0 ? Serial(order, load, cancellation) : Parallel(order, load, workers, ahead, cancellation);

    private static IEnumerable<T> Serial<T>(IEnumerable<int> order, Func<int, T> load, CancellationToken cancellation)
    {
        foreach (var index in order)
        {
            cancellation.ThrowIfCancellationRequested();
            yield return load(index);
        }
    }

    private static IEnumerable<T> Parallel<T>(
        IEnumerable<int> order, Func<int, T> load, int workers, int ahead, CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var indices = order.GetEnumerator();
        var queue = new Queue<T>(indices, load, workers, Math.Max(1, ahead), stop.Token);
        try
        {
            while (true)
            {
                cancellation.ThrowIfCancellationRequested();
                if (queue.Next(cancellation) is not { } place)
                {
                    break;
                }

                yield return place.GetAwaiter().GetResult();
            }
        }
        finally
        {
            stop.Cancel();
            queue.Wait();
        }
    }

    private sealed class Queue<T>
    {
        private readonly Lock _gate = new();
        private readonly IEnumerator<int> _indices;
        private readonly Func<int, T> _load;
        private readonly Channel<Task<T>> _places;
        private readonly Task[] _workers;
        private readonly CancellationToken _stop;
        private Exception? _failure;
        private bool _ended;
        private int _working;

        public Queue(IEnumerator<int> indices, Func<int, T> load, int workers, int ahead, CancellationToken stop)
        {
            (_indices, _load, _stop, _working) = (indices, load, stop, workers);
            _places = Channel.CreateBounded<Task<T>>(new BoundedChannelOptions(ahead) { SingleReader = true });
            _workers = [.. Enumerable.Range(0, workers).Select(_ => Task.Run(Work, CancellationToken.None))];
        }

        public Task<T>? Next(CancellationToken cancellation) =>
            _places.Reader.WaitToReadAsync(cancellation).AsTask().GetAwaiter().GetResult()
                && _places.Reader.TryRead(out var place) ? place : null;

        public void Wait() => Task.WaitAll(_workers, CancellationToken.None);

        private async Task Work()
        {
            try
            {
                while (Take() is var (index, place, queued))
                {
                    await queued;
                    Fill(index, place);
                }
            }
            catch (OperationCanceledException)
            {
                // The reader has left, or the caller cancelled, which the reader's own token says.
            }

            // The last one out closes: closing earlier would drop places that still wait for room.
            if (Interlocked.Decrement(ref _working) == 0)
            {
                _places.Writer.Complete(_failure);
            }
        }

#pragma warning disable CA1031 // Whatever the order or a load throws belongs to the reader, who gets it in its place.
        private (int Index, TaskCompletionSource<T> Place, Task Queued)? Take()
        {
            lock (_gate)
            {
                try
                {
                    _ended = _ended || _stop.IsCancellationRequested || !_indices.MoveNext();
                }
                catch (Exception e)
                {
                    (_failure, _ended) = (e, true);
                }

                if (_ended)
                {
                    return null;
                }

                var place = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
                return (_indices.Current, place, _places.Writer.WriteAsync(place.Task, _stop).AsTask());
            }
        }

        private void Fill(int index, TaskCompletionSource<T> place)
        {
            try
            {
                place.SetResult(_load(index));
            }
            catch (Exception e)
            {
                place.SetException(e);
                _ = place.Task.Exception;
            }
        }
#pragma warning restore CA1031
    }
}
