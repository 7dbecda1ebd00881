using LlavaSharp.Sampling;

namespace LlavaSharp.Training;

/// <summary>The sampler's order, epoch after epoch: all of it for one process, every world-th micro-batch for one of several.</summary>
internal sealed class EpochOrder(ITrainingSource source, TrainOptions options)
{
    /// <summary>Samples in an epoch: those of the data, and with a balanced order a few again, so that no micro-batch is mixed.</summary>
    public static int Length(ITrainingSource source, TrainOptions options) => options.GroupByModalityLength
        ? SampleOrder.EpochLength(How(options), Lengths(source))
        : source.Count;

    /// <summary>Sample indices without end.</summary>
    /// <param name="first">Epoch to begin with, from 0.</param>
    /// <param name="skipped">How many of its samples are left out.</param>
    public IEnumerable<int> Samples(int first, int skipped)
    {
        var how = How(options);
        var lengths = Lengths(source);
        for (var epoch = first; ; epoch++)
        {
            var order = SampleOrder.ForEpoch(how, lengths, epoch);
            var own = SampleOrder.Shard(order, options.PerDeviceTrainBatchSize, options.Place.World, options.Place.Rank);
            foreach (var index in own.SelectMany(batch => batch).Skip(epoch == first ? skipped : 0))
            {
                yield return index;
            }
        }
    }

    private static int[] Lengths(ITrainingSource source) => [.. Enumerable.Range(0, source.Count).Select(source.ModalityLength)];

    private static SampleOrderOptions How(TrainOptions options) => new()
    {
        PerDeviceBatch = options.PerDeviceTrainBatchSize,
        WorldSize = options.Place.World,
        GradientAccumulation = options.GradientAccumulationSteps,
        GroupByModalityLength = options.GroupByModalityLength,
        GroupByLength = options.GroupByLength,
        Balanced = options.Sampler == "balanced",
        Seed = (ulong)options.Seed,
    };
}
