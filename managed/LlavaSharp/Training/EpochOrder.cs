using LlavaSharp.Sampling;

namespace LlavaSharp.Training;

/// <summary>The sampler's order, epoch after epoch, for a single process.</summary>
internal sealed class EpochOrder(ITrainingSource source, TrainOptions options)
{
    /// <summary>Sample indices without end.</summary>
    public IEnumerable<int> Samples()
    {
        var how = new SampleOrderOptions
        {
            PerDeviceBatch = options.PerDeviceTrainBatchSize,
            GradientAccumulation = options.GradientAccumulationSteps,
            GroupByModalityLength = options.GroupByModalityLength,
            Seed = (ulong)options.Seed,
        };
        int[] lengths = [.. Enumerable.Range(0, source.Count).Select(source.ModalityLength)];
        for (var epoch = 0; ; epoch++)
        {
            foreach (var index in SampleOrder.ForEpoch(how, lengths, epoch))
            {
                yield return index;
            }
        }
    }
}
