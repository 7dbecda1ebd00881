using LlavaSharp.Sampling;

namespace LlavaSharp.Training;

/// <summary>
/// How many updates a run has, as Hugging Face's trainer of the recipe's time counts: an epoch has
/// floor(micro-batches of a process / accumulation) updates, at least one; micro-batches left over at an epoch's end count
/// towards the next epoch's first update.
/// </summary>
/// <param name="SampleCount">Samples of an epoch's order, over all processes.</param>
/// <param name="BatchSize">Samples in a micro-batch; with a single process an epoch's last may be shorter.</param>
/// <param name="Accumulation">Micro-batches in an update.</param>
/// <param name="TotalSteps">Updates of the run.</param>
/// <param name="World">Processes.</param>
public sealed record TrainingPlan(int SampleCount, int BatchSize, int Accumulation, int TotalSteps, int World = 1)
{
    /// <summary>Micro-batches of one process in an epoch.</summary>
    public int MicroBatchesPerEpoch => SampleOrder.StepsPerRank(SampleCount, BatchSize, World);

    /// <summary>Samples of one process in an epoch: with several, all have as many, and a few are seen twice.</summary>
    public int SamplesPerEpoch => World == 1 ? SampleCount : MicroBatchesPerEpoch * BatchSize;

    /// <summary>Updates that an epoch counts for.</summary>
    public int StepsPerEpoch => Math.Max(1, MicroBatchesPerEpoch / Accumulation);

    /// <summary>Micro-batches in an update: fewer than the accumulation only when a whole epoch has fewer.</summary>
    public int MicroBatchesPerStep => Math.Min(Accumulation, MicroBatchesPerEpoch);

    /// <summary>Plans a run.</summary>
    /// <param name="sampleCount">Samples of the data, at least 1.</param>
    /// <param name="options">Batch size, accumulation, epochs or updates.</param>
    /// <returns>The plan.</returns>
    /// <exception cref="UserErrorException">There is no sample, or the run has no update.</exception>
    public static TrainingPlan Create(int sampleCount, TrainOptions options)
    {
        if (sampleCount == 0)
        {
            throw new UserErrorException($"--data_path {options.DataPath} holds no samples");
        }

        var plan = new TrainingPlan(
            sampleCount, options.PerDeviceTrainBatchSize, options.GradientAccumulationSteps, 0, options.Place.World);
        var steps = options.MaxSteps > 0 ? options.MaxSteps : Math.Ceiling(options.NumTrainEpochs * plan.StepsPerEpoch);
        return steps is >= 1 and <= int.MaxValue
            ? plan with { TotalSteps = (int)steps }
            : throw new UserErrorException($"--num_train_epochs {options.NumTrainEpochs} gives {steps} updates; at least 1 is needed");
    }

    /// <summary>Passes over the data after some micro-batches.</summary>
    /// <param name="microBatches">Micro-batches done.</param>
    /// <returns>Epochs, with a fraction.</returns>
    public double EpochAfter(long microBatches) => microBatches / (double)MicroBatchesPerEpoch;
}
