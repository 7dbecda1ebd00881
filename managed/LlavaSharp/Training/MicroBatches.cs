using System.Diagnostics;

namespace LlavaSharp.Training;

/// <summary>The endless stream of micro-batches: epoch after epoch in the sampler's order, prepared ahead on other threads.</summary>
internal sealed class MicroBatches : IDisposable
{
    private readonly IEnumerator<PreparedSample> _samples;
    private readonly TrainingPlan _plan;
    private readonly Stopwatch _waiting = new();
    private int _leftInEpoch;

    // done: micro-batches that an earlier run has taken. The stream begins after them.
    public MicroBatches(ITrainingSource source, TrainingPlan plan, TrainOptions options, long done, CancellationToken cancellation)
    {
        var (epoch, inEpoch) = Math.DivRem(done, plan.MicroBatchesPerEpoch);
        var skipped = (int)(inEpoch * plan.BatchSize);
        (_plan, _leftInEpoch) = (plan, plan.SamplesPerEpoch - skipped);
        var order = new EpochOrder(source, options);
        var ahead = Math.Max(2 * options.PerDeviceTrainBatchSize, 2 * options.DataloaderNumWorkers);
        _samples = OrderedLoader
            .Load(order.Samples((int)epoch, skipped), source.Load, options.DataloaderNumWorkers, ahead, cancellation)
            .GetEnumerator();
    }

    /// <summary>Time that the training thread has waited for samples.</summary>
    public TimeSpan Waited => _waiting.Elapsed;

    /// <summary>The next micro-batch; an epoch's last may be shorter than the others.</summary>
    public IReadOnlyList<PreparedSample> Next()
    {
        var batch = new PreparedSample[Math.Min(_plan.BatchSize, _leftInEpoch)];
        _waiting.Start();
        for (var i = 0; i < batch.Length; i++)
        {
            if (!_samples.MoveNext())
            {
                throw new InvalidOperationException("the sampler's order ended early");
            }

            batch[i] = _samples.Current;
        }

        _waiting.Stop();
        _leftInEpoch = _leftInEpoch == batch.Length ? _plan.SamplesPerEpoch : _leftInEpoch - batch.Length;
        return batch;
    }

    public void Dispose() => _samples.Dispose();
}
