using LlavaSharp.Sampling;

namespace LlavaSharp.Tests.Sampling;

/// <summary>The balanced order's promises, and a simulation of what it gains on lengths like those of LLaVA's mixture.</summary>
public sealed class BalancedOrderTests
{
    /// <summary>Words to tokens, and rows of an image: what a sample costs.</summary>
    private const double TokensPerWord = 1.33, ImageRows = 576;

    [Theory]
    [InlineData(1, 1)]
    [InlineData(8, 1)]
    [InlineData(4, 3)]
    public void No_micro_batch_is_mixed_on_any_rank(int world, int accumulation)
    {
        var lengths = Mixture(3001, 5);
        var options = Options(4, world, accumulation);
        var order = SampleOrder.ForEpoch(options, lengths, 1);
        Assert.Equal(SampleOrder.EpochLength(options, lengths), order.Length);
        Assert.InRange(order.Length, lengths.Length, lengths.Length + (2 * 4 * world) - 2);
        Assert.Equal(Enumerable.Range(0, lengths.Length), order.Distinct().Order());
        foreach (var round in order.Chunk(4 * world))
        {
            Assert.Single(round.Select(i => lengths[i] > 0).Distinct());
        }

        Assert.Equal(order, SampleOrder.ForEpoch(options, lengths, 1));
        Assert.NotEqual(order, SampleOrder.ForEpoch(options, lengths, 0));
    }

    [Fact]
    public void An_update_costs_its_own_size_not_that_of_the_data()
    {
        // Copies of all lengths for each of 41,581 updates would move 110 GB.
        var lengths = Mixture(665_298, 5);
        int[] update = [.. Enumerable.Range(1000, 64)];
        BalancedOrder.Even(update, lengths, 16);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var dealt = BalancedOrder.Even(update, lengths, 16);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 200_000);
        Assert.Equal(update, dealt.Order());
        Assert.NotEqual(update, dealt);
    }

    [Fact]
    public void Edges()
    {
        var options = Options(4, 2, 1);
        Assert.Equal([0], SampleOrder.ForEpoch(options, [5], 0));
        Assert.Equal([0], SampleOrder.ForEpoch(options, [-5], 0));

        // One picture fills its round by itself, so that the text begins a round of its own.
        Assert.Equal([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1], SampleOrder.ForEpoch(options, [5, -5], 0));
        Assert.Equal([0, 0, 0, 0, 1], SampleOrder.ForEpoch(options with { WorldSize = 1 }, [5, -5], 0));
        Assert.Empty(SampleOrder.ForEpoch(options, [], 0));
        Assert.Throws<UserErrorException>(() => SampleOrder.ForEpoch(options, [1, 0], 0));
    }

    [Fact]
    public void Micro_batches_are_evened_out()
    {
        // Dealt out greedily: 9 + 2, 8 + 3, 7 + 6.
        int[] lengths = [9, 8, 7, 6, 3, 2];
        Assert.Equal(2, Spread([.. SampleOrder.SplitEven([0, 1, 2, 3, 4, 5], lengths, 3).SelectMany(c => c)], lengths, 2));
        var random = new Random(4);
        var (before, after) = (0, 0);
        for (var trial = 0; trial < 100; trial++)
        {
            lengths = [.. Enumerable.Range(0, 64).Select(_ => random.Next(1, 500))];
            int[] greedy = [.. SampleOrder.SplitEven(
                [.. Enumerable.Range(0, 64).OrderByDescending(i => lengths[i])], lengths, 8).SelectMany(c => c)];
            var even = BalancedOrder.Even([.. Enumerable.Range(0, 64)], lengths, 8);
            Assert.Equal(Enumerable.Range(0, 64), even.Order());
            Assert.True(Spread(even, lengths, 8) <= Spread(greedy, lengths, 8));
            before += Spread(greedy, lengths, 8);
            after += Spread(even, lengths, 8);
        }

        Assert.True(after * 3 < before, $"{before} {after}");
        Assert.Equal([2, 0, 1], BalancedOrder.Even([2, 0, 1], lengths, 2));

        static int Spread(int[] order, int[] lengths, int batch)
        {
            int[] totals = [.. order.Chunk(batch).Select(c => c.Sum(i => lengths[i]))];
            return totals.Max() - totals.Min();
        }
    }

    /// <summary>
    /// 41,600 samples in LLaVA's proportions, 8 processes of 16 samples. A round costs what its longest micro-batch costs; the
    /// share of that which is work is the order's efficiency.
    /// </summary>
    [Fact]
    public void The_default_wastes_less_than_the_recipes_order_and_than_chance()
    {
        var lengths = Mixture(41_600, 11);
        var balanced = Simulate(Options(16, 8, 1), lengths);
        var recipe = Simulate(Options(16, 8, 1) with { Balanced = false }, lengths);
        var chance = Simulate(Options(16, 8, 1) with { GroupByModalityLength = false }, lengths);
        TestContext.Current.TestOutputHelper?.WriteLine($"balanced {balanced}, recipe {recipe}, chance {chance}");
        Assert.Equal(0, balanced.Mixed);
        Assert.True(recipe.Mixed > 0, recipe.ToString());
        Assert.True(balanced.Efficiency > recipe.Efficiency && recipe.Efficiency > chance.Efficiency + 0.05, $"{balanced} {recipe} {chance}");
        Assert.True(balanced.Efficiency > 0.999, balanced.ToString());

        // Accumulation: a synchronised micro-step waits for its longest micro-batch, too.
        var four = Options(4, 8, 4);
        Assert.True(Simulate(four, lengths).Efficiency > Simulate(four with { Balanced = false }, lengths).Efficiency);
    }

    private static (double Efficiency, int Mixed) Simulate(SampleOrderOptions options, int[] lengths)
    {
        var order = SampleOrder.ForEpoch(options, lengths, 0);
        var shards = Enumerable.Range(0, options.WorldSize)
            .Select(rank => SampleOrder.Shard(order, options.PerDeviceBatch, options.WorldSize, rank)).ToArray();
        var (work, time, mixed) = (0.0, 0.0, 0);
        for (var step = 0; step < shards[0].Length; step++)
        {
            double[] costs = [.. shards.Select(s => s[step].Sum(Cost))];
            work += costs.Sum();
            time += costs.Max() * costs.Length;
            mixed += shards.Count(s => s[step].Select(i => lengths[i] > 0).Distinct().Count() > 1);
        }

        return (work / time, mixed);

        double Cost(int i) => (Math.Abs(lengths[i]) * TokensPerWord) + (lengths[i] > 0 ? ImageRows : 0);
    }

    private static SampleOrderOptions Options(int batch, int world, int accumulation) => new()
    {
        PerDeviceBatch = batch,
        WorldSize = world,
        GradientAccumulation = accumulation,
        GroupByModalityLength = true,
        Balanced = true,
    };

    /// <summary>
    /// Words of samples: 94 % with an image, of those 60 % short answers (a few dozen words) and 40 % conversations (about 150);
    /// 6 % text alone with a long tail (median 400), as ShareGPT has it.
    /// </summary>
    private static int[] Mixture(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextDouble() switch
        {
            < 0.06 => -Draw(400, 0.9),
            < 0.62 => Draw(45, 0.6),
            _ => Draw(150, 0.5),
        })];

        int Draw(double median, double spread)
        {
            var normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            return (int)Math.Clamp(median * Math.Exp(spread * normal), 1, 1500);
        }
    }
}
