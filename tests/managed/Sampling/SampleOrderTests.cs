using LlavaSharp.Sampling;

namespace LlavaSharp.Tests.Sampling;

public sealed class SampleOrderTests
{
    private static readonly int[] Lengths =
        [12, -40, 33, 7, -5, 60, 21, -18, 45, 9, -77, 30, 15, -3, 28, 50, -26, 11, 19, -64];

    private static readonly int[] Grouped = [5, 3, 8, 11, 19, 4, 16, 7, 2, 0, 14, 18, 6, 9, 12, 17, 1, 10, 13, 15];

    [Fact]
    public void Split_even_balances_or_deals()
    {
        Assert.Equal([[0, 3, 4], [1, 2, 5]], SampleOrder.SplitEven([0, 1, 2, 3, 4, 5], [9, 8, 7, 3, 2, 1], 2));
        Assert.Equal([[0, 2, 4], [1, 3]], SampleOrder.SplitEven([0, 1, 2, 3, 4], [9, 8, 7, 3, 2], 2));
        Assert.Equal([[0], [], []], SampleOrder.SplitEven([0], [1], 3));
        Assert.Equal([[], []], SampleOrder.SplitEven([], [], 2));

        // Negative lengths: the first chunk only gets "shorter" and is filled before the second.
        Assert.Equal([[0, 1], [2, 3]], SampleOrder.SplitEven([0, 1, 2, 3], [-1, -2, -3, -4], 2));
    }

    [Fact]
    public void Modality_groups_are_the_golden_ones()
    {
        var order = SampleOrder.ModalityGrouped(Lengths, 2, 2, new TorchRandom(TorchRandom.DefaultSeed), Consumed());
        Assert.Equal(Grouped, order);
        int[] images = [.. Lengths.Select(Math.Abs)];
        Assert.Equal(
            [10, 13, 18, 0, 19, 3, 1, 17, 15, 6, 8, 16, 5, 7, 11, 14, 2, 4, 12, 9],
            SampleOrder.ModalityGrouped(images, 2, 2, new TorchRandom(TorchRandom.DefaultSeed), Consumed()));
        int[] texts = [.. images.Select(l => -l)];
        Assert.Equal(
            [13, 0, 18, 10, 3, 17, 1, 19, 6, 16, 8, 15, 7, 14, 11, 5, 4, 9, 12, 2],
            SampleOrder.ModalityGrouped(texts, 2, 2, new TorchRandom(TorchRandom.DefaultSeed), Consumed()));

        // What the trainer does with them: 42 seeds the global generator, the data loader draws once.
        static TorchRandom Consumed()
        {
            var random = new TorchRandom(42);
            random.NextUInt64();
            return random;
        }
    }

    [Fact]
    public void An_epoch_is_a_function_of_seed_and_number()
    {
        var two = new SampleOrderOptions { PerDeviceBatch = 2, WorldSize = 2, GroupByModalityLength = true };
        Assert.Equal(Grouped, SampleOrder.ForEpoch(two, Lengths, 0));
        var third = SampleOrder.ForEpoch(two, Lengths, 2);
        Assert.Equal(third, SampleOrder.ForEpoch(two, Lengths, 2));
        Assert.NotEqual(Grouped, third);
        Assert.Equal(Enumerable.Range(0, 20), third.Order());
        Assert.NotEqual(third, SampleOrder.ForEpoch(two with { Seed = 43 }, Lengths, 2));

        // One process: the global generator does everything; accumulation takes the processes' part in a step.
        var one = two with { WorldSize = 1, GradientAccumulation = 2 };
        Assert.Equal(Enumerable.Range(0, 20), SampleOrder.ForEpoch(one, Lengths, 0).Order());
        Assert.NotEqual(Grouped, SampleOrder.ForEpoch(one, Lengths, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => SampleOrder.ForEpoch(one, Lengths, -1));
    }

    [Fact]
    public void Without_groups_the_order_is_that_of_PyTorchs_data_loader()
    {
        int[] lengths = [1, 1, 1, 1, 1, 1, 1];
        var one = new SampleOrderOptions { PerDeviceBatch = 2 };
        Assert.Equal([1, 2, 3, 6, 4, 5, 0], SampleOrder.ForEpoch(one, lengths, 0));
        Assert.Equal([4, 6, 1, 2, 0, 3, 5], SampleOrder.ForEpoch(one, lengths, 1));
        Assert.Equal([5, 2, 6, 0, 1, 4, 3], SampleOrder.ForEpoch(one, lengths, 2));
        var several = one with { WorldSize = 4 };
        Assert.Equal([4, 3, 0, 1, 2, 6, 5], SampleOrder.ForEpoch(several, lengths, 0));
        Assert.Equal([1, 5, 4, 6, 3, 2, 0], SampleOrder.ForEpoch(several, lengths, 1));
        Assert.Equal([4, 0, 2, 5, 3, 6, 1], SampleOrder.ForEpoch(several, lengths, 2));
    }

    [Fact]
    public void Length_groups_are_Hugging_Faces()
    {
        // get_length_grouped_indices of transformers 5.12 on words, 128 more for an image.
        Assert.Equal(
            [5, 19, 4, 13, 14, 6, 3, 7, 2, 11, 17, 9, 18, 12, 10, 16, 15, 8, 0, 1],
            SampleOrder.HuggingFaceGrouped(Lengths, 2, new TorchRandom(0)));
        Assert.Equal(
            [5, 0, 17, 10, 13, 15, 6, 3, 19, 1, 18, 8, 11, 14, 16, 2, 12, 9, 7, 4],
            SampleOrder.HuggingFaceGrouped(Lengths, 1, new TorchRandom(TorchRandom.DefaultSeed)));
        Assert.Equal(
            [5, 2, 14, 18, 0, 10, 1, 4, 8, 11, 6, 3, 12, 17, 7, 13, 15, 9, 19, 16],
            SampleOrder.HuggingFaceGrouped(Lengths, 4, new TorchRandom(42)));
        var options = new SampleOrderOptions { PerDeviceBatch = 2, GradientAccumulation = 2, WorldSize = 2, GroupByLength = true };
        var shared = new TorchRandom(TorchRandom.DefaultSeed);
        Assert.Equal(SampleOrder.HuggingFaceGrouped(Lengths, 4, shared), SampleOrder.ForEpoch(options, Lengths, 0));
        Assert.Empty(SampleOrder.HuggingFaceGrouped([], 4, new TorchRandom(0)));
    }

    [Fact]
    public void Gaudis_single_process_fills_the_last_micro_batch()
    {
        var options = new SampleOrderOptions { PerDeviceBatch = 4, FillsLastBatch = true };
        var order = SampleOrder.ForEpoch(options, new int[7], 0);
        Assert.Equal(SampleOrder.ForEpoch(options with { FillsLastBatch = false }, new int[7], 0), order[..7]);
        Assert.Equal((8, 8), (order.Length, SampleOrder.EpochLength(options, new int[7])));
        Assert.Equal(7, SampleOrder.ForEpoch(options with { WorldSize = 2 }, new int[7], 0).Length);
        Assert.Equal(8, SampleOrder.ForEpoch(options, new int[8], 0).Length);
    }

    [Fact]
    public void Steps_hold_one_modality_until_the_mixed_tail()
    {
        var random = new Random(1);
        int[] lengths = [.. Enumerable.Range(0, 1000).Select(_ => random.Next(1, 300) * (random.Next(4) == 0 ? -1 : 1))];
        var options = new SampleOrderOptions { PerDeviceBatch = 4, WorldSize = 2, GradientAccumulation = 3, GroupByModalityLength = true };
        var steps = SampleOrder.ForEpoch(options, lengths, 0).Chunk(24).ToArray();
        var mixed = steps.Count(step => step.Any(i => lengths[i] > 0) && step.Any(i => lengths[i] < 0));
        Assert.InRange(mixed, 0, 2);
        Assert.Equal(Enumerable.Range(0, 1000), steps.SelectMany(s => s).Order());
    }

    [Fact]
    public void A_sample_without_words_is_named()
    {
        var random = new TorchRandom(1);
        var error = Assert.Throws<UserErrorException>(() => SampleOrder.ModalityGrouped([3, 0, 2], 1, 1, random, random));
        Assert.StartsWith("sample 1: it has no words", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Few_samples_still_make_an_order()
    {
        var options = new SampleOrderOptions { PerDeviceBatch = 8, WorldSize = 4, GroupByModalityLength = true };
        Assert.Equal([0], SampleOrder.ForEpoch(options, [5], 0));
        Assert.Equal([0, 1], SampleOrder.ForEpoch(options, [5, -5], 3));
        Assert.Empty(SampleOrder.ForEpoch(options, [], 0));
    }

    [Fact]
    public void Shards_deal_batches_and_complete_the_last_round_from_the_start()
    {
        int[] order = [9, 8, 7, 6, 5, 4, 3];
        Assert.Equal([[9, 8], [5, 4]], SampleOrder.Shard(order, 2, 2, 0));
        Assert.Equal([[7, 6], [3, 9]], SampleOrder.Shard(order, 2, 2, 1));
        Assert.Equal([[9, 8, 7], [6, 5, 4], [3]], SampleOrder.Shard(order, 3, 1, 0));
        Assert.Equal([[9, 8], [3, 9]], SampleOrder.Shard(order, 2, 3, 0));
        Assert.Equal([[5, 4], [6, 5]], SampleOrder.Shard(order, 2, 3, 2));

        // Fewer samples than a round takes: the order is repeated as often as needed.
        Assert.Equal([[1, 2]], SampleOrder.Shard([1, 2, 3], 2, 4, 0));
        Assert.Equal([[3, 1]], SampleOrder.Shard([1, 2, 3], 2, 4, 1));
        Assert.Equal([[2, 3]], SampleOrder.Shard([1, 2, 3], 2, 4, 2));
        Assert.Equal([[1, 2]], SampleOrder.Shard([1, 2, 3], 2, 4, 3));
        Assert.Empty(SampleOrder.Shard([], 2, 2, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => SampleOrder.Shard(order, 2, 2, 2));
        foreach (var (count, batch, world) in new[] { (7, 2, 2), (7, 2, 3), (1, 1, 8), (64, 4, 4), (65, 4, 4) })
        {
            var expected = (((count + batch - 1) / batch) + world - 1) / world;
            Assert.Equal(expected, SampleOrder.StepsPerRank(count, batch, world));
            Assert.All(
                Enumerable.Range(0, world),
                rank => Assert.Equal(expected, SampleOrder.Shard(new int[count], batch, world, rank).Length));
        }
    }
}
