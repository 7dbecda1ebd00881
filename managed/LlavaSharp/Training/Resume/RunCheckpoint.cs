using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Zero;

namespace LlavaSharp.Training.Resume;

/// <summary>
/// The tensors of a checkpoint: weights.safetensors, the parameters that train, and optimizer.safetensors, AdamW's moments,
/// both float32, which is what they are; or, where processes divide them, each one's part in a file of its own. Frozen parameters
/// stay where they were read from.
/// </summary>
public static class RunCheckpoint
{
    /// <summary>File of the trained parameters, under canonical names.</summary>
    public const string WeightsFile = "weights.safetensors";

    /// <summary>File of the moments, under torch's names: exp_avg.NAME and exp_avg_sq.NAME.</summary>
    public const string OptimizerFile = "optimizer.safetensors";

    private static readonly Slot[] Slots = [Slot.Weight, Slot.FirstMoment, Slot.SecondMoment];

    /// <summary>Writes this process's files.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="model">The model.</param>
    /// <param name="trainer">Its trainer.</param>
    /// <param name="sharding">How the state lies; null for one process.</param>
    public static void Write(string folder, Model model, Trainer trainer, Sharding? sharding = null)
    {
        sharding ??= Sharding.None;
        ParameterInfo[] trained = [.. model.Parameters.Where(p => p.Trainable)];
        if (sharding.Ranks.IsFirst)
        {
            var buffer = new float[trained.Max(p => p.Count)];
            WriteWhole(WeightsFile, [Slot.Weight], (slot, p) => model.Read(p.Name, buffer.AsSpan(0, (int)p.Count)));
            WriteWhole(OptimizerFile, Slots[1..], (slot, p) => trainer.ReadSlot(slot, p.Name, buffer.AsSpan(0, (int)p.Count)));

            void WriteWhole(string file, Slot[] slots, Action<Slot, ParameterInfo> read)
            {
                TensorSource[] tensors =
                [
                    .. from slot in slots
                       from p in trained
                       where !sharding.Divides(slot, p.Kind)
                       select new TensorSource(StoredState.Prefixes[slot] + p.Name, TensorType.F32, p.Shape, stream =>
                       {
                           read(slot, p);
                           RequireFinite(slot, p.Name, p.Shape, buffer.AsSpan(0, (int)p.Count));
                           LongBytes.Of(buffer.AsSpan(0, (int)p.Count)).WriteTo(stream);
                       }),
                ];
                if (tensors.Length > 0)
                {
                    SafetensorsWriter.Write(Path.Combine(folder, file), tensors);
                }
            }
        }

        WriteShard(folder, trained, trainer, sharding);
    }

    /// <summary>Puts the tensors back, and AdamW's t.</summary>
    /// <param name="folder">The checkpoint, written by as many processes or by others.</param>
    /// <param name="model">The model.</param>
    /// <param name="trainer">Its trainer.</param>
    /// <param name="optimizerSteps">AdamW's t.</param>
    /// <param name="sharding">How the state lies now; null for one process.</param>
    /// <exception cref="UserErrorException">A tensor is missing, or has another shape.</exception>
    public static void Restore(string folder, Model model, Trainer trainer, long optimizerSteps, Sharding? sharding = null)
    {
        sharding ??= Sharding.None;
        using var state = StoredState.Open(folder);
        foreach (var slot in Slots)
        {
            foreach (var unit in model.Parameters.Where(p => p.Trainable).GroupBy(p => p.Unit))
            {
                if (sharding.Divides(slot, unit.First().Kind))
                {
                    RestoreShard(state, slot, unit, trainer);
                    continue;
                }

                foreach (var p in unit)
                {
                    var values = new float[p.Count];
                    state.Read(slot, p, values);
                    RequireFinite(slot, p.Name, p.Shape, values);
                    if (slot == Slot.Weight)
                    {
                        model.Write(p.Name, ElementType.Float32, p.Shape, LongBytes.Of(values));
                    }
                    else
                    {
                        trainer.WriteSlot(slot, p.Name, values);
                    }
                }
            }
        }

        trainer.StepCount = optimizerSteps;
    }

    // A state whose weights are not finite is neither kept nor gone on with: no update leads back from it.
    private static void RequireFinite(Slot slot, string name, IReadOnlyList<long> shape, ReadOnlySpan<float> values)
    {
        if (slot == Slot.Weight && FiniteValues.FindOther(TensorType.F32, LongBytes.Of(values)) is >= 0 and var at)
        {
            throw new UserErrorException($"the trained weight {name} is not finite: "
                + $"{FiniteValues.Place(TensorType.F32, LongBytes.Of(values), at, [.. shape])}; such a state is not kept. Lower "
                + "--learning_rate, and go on from an earlier checkpoint, if there is one");
        }
    }

    private static void WriteShard(string folder, ParameterInfo[] trained, Trainer trainer, Sharding sharding)
    {
        var units = trained.DistinctBy(p => p.Unit).Where(p => Slots.Any(slot => sharding.Divides(slot, p.Kind))).ToArray();
        if (units.Length == 0)
        {
            return;
        }

        var (ranks, tensors) = (sharding.Ranks, new List<TensorSource>());
        foreach (var slot in Slots)
        {
            foreach (var p in units.Where(p => sharding.Divides(slot, p.Kind)))
            {
                var count = trainer.Shard(slot, p.Unit).Count;
                tensors.Add(new(StoredState.TensorName(slot, ZeroUnit.NameOf(p)), TensorType.F32, [count], stream =>
                {
                    var values = new float[count];
                    trainer.ReadShard(slot, p.Unit, values);
                    RequireFinite(slot, ZeroUnit.NameOf(p), [count], values);
                    LongBytes.Of(values).WriteTo(stream);
                }));
            }
        }

        SafetensorsWriter.Write(Path.Combine(folder, StoredState.ShardName(ranks.Rank, ranks.World)), tensors);
        if (ranks.IsFirst)
        {
            StoredState.WriteShardsFile(
                folder, ranks.World, units.Select(p => (ZeroUnit.NameOf(p), trainer.Shard(Slot.FirstMoment, p.Unit).Whole)));
        }
    }

    // The part that this process holds now, cut out of the parameters that it overlaps; gaps between them are zero.
    private static void RestoreShard(StoredState state, Slot slot, IGrouping<int, ParameterInfo> unit, Trainer trainer)
    {
        var shard = trainer.Shard(slot, unit.Key);
        var part = new float[shard.Count];
        foreach (var p in unit)
        {
            var (from, to) = (Math.Max(p.Offset, shard.Begin), Math.Min(p.Offset + p.Count, shard.Begin + shard.Count));
            if (from < to)
            {
                var values = new float[p.Count];
                state.Read(slot, p, values);
                values.AsSpan((int)(from - p.Offset), (int)(to - from)).CopyTo(part.AsSpan((int)(from - shard.Begin)));
            }
        }

        trainer.WriteShard(slot, unit.Key, part);
    }
}
