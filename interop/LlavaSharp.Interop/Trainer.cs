using System.Runtime.InteropServices.Marshalling;

namespace LlavaSharp.Interop;

/// <summary>Gradients and AdamW state of what is trainable in a model. One trainer a model at a time.</summary>
public sealed unsafe class Trainer : IDisposable
{
    private readonly Model _model;
    private readonly TrainerHandle _handle;

    /// <summary>Makes gradients and optimizer state for what <see cref="Model.SetTrainable"/> chose.</summary>
    /// <param name="model">What is trained; the trainer keeps it alive.</param>
    /// <param name="options">AdamW's options; null is their defaults.</param>
    public Trainer(Model model, TrainerOptions? options = null)
    {
        TrainerOptions chosen = options ?? new TrainerOptions();
        byte* folder = Utf8StringMarshaller.ConvertToUnmanaged(chosen.OffloadFolder);
        try
        {
            Native.TrainerOptions native = chosen.ToNative(folder);
            Native.TrainerCreate(model.Handle, in native, out _handle).ThrowIfFailed();
        }
        finally
        {
            Utf8StringMarshaller.Free(folder);
        }
        _model = model;
    }

    /// <summary>Makes a trainer that follows a plan together with the other ranks, which all make the same calls.</summary>
    /// <param name="model">What is trained. In stage 3 its decoder's weights are in shards from now on.</param>
    /// <param name="options">AdamW's options; null is their defaults.</param>
    /// <param name="communicator">The ranks; the trainer keeps it alive.</param>
    /// <param name="zero">How training is sharded.</param>
    /// <param name="plan">What is gathered, computed, reduced and updated, in which order: the same on every rank.</param>
    /// <exception cref="EngineException">
    /// <see cref="EngineStatus.Invalid"/>: the plan has a fault; the message has the index of the step.
    /// </exception>
    public Trainer(
        Model model, TrainerOptions? options, Communicator communicator, ShardingOptions zero, ReadOnlySpan<ShardingStep> plan)
    {
        TrainerOptions chosen = options ?? new TrainerOptions();
        Native.ZeroOptions sharding = zero.ToNative();
        Native.ZeroStep[] steps = ShardingStep.ToNative(plan);
        byte* folder = Utf8StringMarshaller.ConvertToUnmanaged(chosen.OffloadFolder);
        try
        {
            Native.TrainerOptions native = chosen.ToNative(folder);
            fixed (Native.ZeroStep* pointer = steps)
            {
                Native.TrainerCreateSharded(
                    model.Handle, in native, communicator.Handle, in sharding, pointer, steps.Length, out _handle).ThrowIfFailed();
            }
        }
        finally
        {
            Utf8StringMarshaller.Free(folder);
        }
        _model = model;
    }

    /// <summary>What communication took.</summary>
    public TrafficStatistics Traffic
    {
        get
        {
            Native.TrainerTrafficGet(_handle, out Native.Traffic traffic).ThrowIfFailed();
            return new TrafficStatistics(
                traffic.Exchanges,
                traffic.Bytes,
                TimeSpan.FromSeconds(traffic.BusySeconds),
                TimeSpan.FromSeconds(traffic.ExposedSeconds));
        }
    }

    /// <summary>Updates done so far: AdamW's t. Setting it continues an earlier run.</summary>
    public long StepCount
    {
        get
        {
            Native.TrainerStepCountGet(_handle, out long steps).ThrowIfFailed();
            return steps;
        }

        set => Native.TrainerStepCountSet(_handle, value).ThrowIfFailed();
    }

    /// <summary>Assigns each row of the parameter table to a group; until then all are in group 0.</summary>
    /// <param name="groupByParameter">One group index a row; what stands at frozen rows is ignored.</param>
    public void SetGroups(ReadOnlySpan<int> groupByParameter)
    {
        fixed (int* pointer = groupByParameter)
        {
            Native.TrainerGroupsSet(_handle, pointer, groupByParameter.Length).ThrowIfFailed();
        }
    }

    /// <summary>Forward and backward of one micro-batch: gradients += gradientScale · d(loss sum)/d(parameter).</summary>
    /// <param name="batch">With labels, at least one of them supervised.</param>
    /// <param name="gradientScale">The recipe's mean over a micro-batch is 1 / (supervised tokens · accumulation steps).</param>
    /// <exception cref="EngineException">
    /// <see cref="EngineStatus.Numeric"/> when the loss is not finite; gradients are then unspecified: clear them.
    /// </exception>
    public LossResult Accumulate(PackedBatch batch, double gradientScale)
    {
        using PinnedBatch pinned = new(batch);
        Native.TrainerAccumulate(_handle, in pinned.Value, gradientScale, out Native.Loss loss).ThrowIfFailed();
        return new LossResult(loss.Sum, loss.Tokens);
    }

    /// <summary>One AdamW update from the accumulated gradients, which it clears.</summary>
    /// <param name="groups">Those that <see cref="SetGroups"/> used, in order.</param>
    /// <param name="maxGradientNorm">Clips by the global L2 norm as torch's clip_grad_norm_; 0 does not clip.</param>
    /// <returns>The global L2 norm of the gradients before clipping.</returns>
    /// <exception cref="EngineException">
    /// <see cref="EngineStatus.Numeric"/> when the norm is not finite: nothing is updated.
    /// </exception>
    public double Step(ReadOnlySpan<ParameterGroup> groups, double maxGradientNorm)
    {
        Native.Group[] native = new Native.Group[groups.Length];
        for (int index = 0; index < groups.Length; index++)
        {
            native[index] = new() { LearningRate = groups[index].LearningRate, WeightDecay = groups[index].WeightDecay };
        }
        fixed (Native.Group* pointer = native)
        {
            Native.TrainerStep(_handle, pointer, native.Length, maxGradientNorm, out double norm).ThrowIfFailed();
            return norm;
        }
    }

    /// <summary>Forgets the accumulated gradients.</summary>
    public void ClearGradients() => Native.TrainerGradientsClear(_handle).ThrowIfFailed();

    /// <summary>Copies a slot of a trainable parameter out.</summary>
    /// <param name="slot">Which one.</param>
    /// <param name="name">Canonical name.</param>
    /// <param name="values">As long as the parameter.</param>
    public void ReadSlot(Slot slot, string name, Span<float> values)
    {
        fixed (float* pointer = values)
        {
            Native.TrainerSlotRead(_handle, (int)slot, name, pointer, values.Length).ThrowIfFailed();
        }
    }

    /// <summary>Copies a slot of a trainable parameter out into a new array.</summary>
    /// <param name="slot">Which one.</param>
    /// <param name="name">Canonical name.</param>
    public float[] ReadSlot(Slot slot, string name)
    {
        float[] values = new float[_model.Parameter(name).Count];
        ReadSlot(slot, name, values);
        return values;
    }

    /// <summary>Copies a slot in, to continue an earlier run bit by bit.</summary>
    /// <param name="slot">Which one.</param>
    /// <param name="name">Canonical name.</param>
    /// <param name="values">As long as the parameter.</param>
    public void WriteSlot(Slot slot, string name, ReadOnlySpan<float> values)
    {
        fixed (float* pointer = values)
        {
            Native.TrainerSlotWrite(_handle, (int)slot, name, pointer, values.Length).ThrowIfFailed();
        }
    }

    /// <summary>Which part of a unit this rank holds of a slot; without sharding, all of it.</summary>
    /// <param name="slot">Which one; <see cref="Slot.Weight"/> also of frozen units.</param>
    /// <param name="unit">Index of the unit (<see cref="ParameterInfo.Unit"/>).</param>
    public ShardInfo Shard(Slot slot, int unit)
    {
        Native.TrainerShardGet(_handle, (int)slot, unit, out Native.Shard shard).ThrowIfFailed();
        return new ShardInfo(shard.Begin, shard.Count, shard.Whole);
    }

    /// <summary>Copies this rank's part of a unit's slot out.</summary>
    /// <param name="slot">Which one.</param>
    /// <param name="unit">Index of the unit.</param>
    /// <param name="values">As long as <see cref="Shard"/> says.</param>
    public void ReadShard(Slot slot, int unit, Span<float> values)
    {
        fixed (float* pointer = values)
        {
            Native.TrainerShardRead(_handle, (int)slot, unit, pointer, values.Length).ThrowIfFailed();
        }
    }

    /// <summary>Copies this rank's part of a unit's slot in, to continue an earlier run bit by bit.</summary>
    /// <param name="slot">Which one.</param>
    /// <param name="unit">Index of the unit.</param>
    /// <param name="values">As long as <see cref="Shard"/> says.</param>
    /// <exception cref="EngineException">
    /// <see cref="EngineStatus.State"/>: weights that every rank holds whole are written with <c>Model.Write</c>.
    /// </exception>
    public void WriteShard(Slot slot, int unit, ReadOnlySpan<float> values)
    {
        fixed (float* pointer = values)
        {
            Native.TrainerShardWrite(_handle, (int)slot, unit, pointer, values.Length).ThrowIfFailed();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();
}
