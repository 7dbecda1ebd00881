using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

public sealed class OrderedLoaderTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4)]
    public void Items_come_in_order_however_long_each_takes(int workers)
    {
        var items = OrderedLoader.Load(
            Enumerable.Range(0, 40),
            i =>
            {
                Thread.Sleep(i % 3 == 0 ? 3 : 0);
                return i * i;
            },
            workers,
            ahead: 8);
        Assert.Equal(Enumerable.Range(0, 40).Select(i => i * i), items);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void Nothing_gives_nothing(int workers) => Assert.Empty(OrderedLoader.Load([], i => i, workers, 4));

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    public void The_first_bad_item_in_order_is_reported_after_the_good_ones(int workers)
    {
        var seen = new List<int>();
        var error = Assert.Throws<UserErrorException>(() =>
        {
            foreach (var item in OrderedLoader.Load(Enumerable.Range(0, 100), Load, workers, 8))
            {
                seen.Add(item);
            }
        });
        Assert.Equal("bad 5", error.Message);
        Assert.Equal([0, 1, 2, 3, 4], seen);

        static int Load(int i)
        {
            Thread.Sleep(i == 5 ? 10 : 0); // item 6 fails sooner
            return i >= 5 ? throw new UserErrorException($"bad {i}") : i;
        }
    }

    [Fact]
    public void No_more_than_so_many_run_or_wait()
    {
        int running = 0, most = 0, begun = 0;
        var consumed = 0;
        foreach (var item in OrderedLoader.Load(Enumerable.Range(0, 60), Load, workers: 3, ahead: 6))
        {
            Thread.Sleep(1);
            Assert.InRange(Volatile.Read(ref begun) - consumed, 0, 6 + 2);
            consumed++;
        }

        Assert.InRange(most, 1, 3);

        int Load(int i)
        {
            Interlocked.Increment(ref begun);
            var now = Interlocked.Increment(ref running);
            InterlockedMax(ref most, now);
            Thread.Sleep(1);
            Interlocked.Decrement(ref running);
            return i;
        }
    }

    [Fact]
    public void Leaving_early_stops_an_endless_order()
    {
        var begun = 0;
        foreach (var item in OrderedLoader.Load(Endless(), i => Interlocked.Increment(ref begun), 2, 4))
        {
            if (item >= 10)
            {
                break;
            }
        }

        var after = Volatile.Read(ref begun);
        Thread.Sleep(20);
        Assert.Equal(after, Volatile.Read(ref begun));

        static IEnumerable<int> Endless()
        {
            for (var i = 0; ; i++)
            {
                yield return i;
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void Cancelling_ends_the_reading(int workers)
    {
        using var stop = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() =>
        {
            foreach (var item in OrderedLoader.Load(Enumerable.Range(0, 1000), i => i, workers, 4, stop.Token))
            {
                if (item == 3)
                {
                    stop.Cancel();
                }
            }
        });
    }

    [Fact]
    public void A_failing_order_reaches_the_reader() =>
        Assert.Contains("order", Assert.ThrowsAny<Exception>(() => OrderedLoader.Load(Bad(), i => i, 2, 4).ToList()).ToString());

    private static IEnumerable<int> Bad()
    {
        yield return 1;
        throw new InvalidOperationException("order");
    }

    private static void InterlockedMax(ref int target, int value)
    {
        for (var seen = Volatile.Read(ref target); seen < value; seen = Volatile.Read(ref target))
        {
            Interlocked.CompareExchange(ref target, value, seen);
        }
    }
}
