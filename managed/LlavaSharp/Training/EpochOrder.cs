using LlavaSharp.Sampling;

namespace LlavaSharp.Training;

/// <summary>The sampler's order, epoch after epoch, for a single process.</summary>
internal sealed class EpochOrder(ITrainingSource source, TrainOptions options)
{
    /// <summary>Sample indices without end.</summary>
    /// <param name="first">Epoch to begin with, from 0.</param>
    /// <param name="skipped">How many of its samples are left out.</param>
    public IEnumerable<int> Samples(int first, int skipped)
    {
        var how = new SampleOrderOptions
        {
            PerDeviceBatch = options.PerDeviceTrainBatchSize,
            GradientAccumulation = options.GradientAccumulationSteps,
            GroupByModalityLength = options.GroupByModalityLength,
            Seed = (ulong)options.Seed,
        };
        int[] lengths = [.. Enumerable.Range(0, source.Count).Select(source.ModalityLength)];
        for (var epoch = first; ; epoch++)
        {
            foreach (var index in SampleOrder.ForEpoch(how, lengths, epoch).Skip(epoch == first ? skipped : 0))
            {
                yield return index;
            }
        }
    }
}
