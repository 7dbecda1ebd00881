using System.Buffers.Binary;
using System.Runtime.InteropServices;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Training.Resume;

/// <summary>
/// The weights of a run for a file that rank 0 writes. Where they are divided, rank 0 says which parameter it wants next and all others
/// hand their parts of it over, so that no process ever holds more than one parameter whole.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="trainer">Its trainer.</param>
/// <param name="sharding">How the weights lie.</param>
internal sealed class SharedWeights(Model model, Trainer trainer, Sharding sharding)
{
    private const int Done = -1;

    // This process's part of the unit that was asked for last: its parameters come one after another.
    private float[] _part = [];
    private int _unit = -1;

    /// <summary>Lets rank 0 write, while the others serve it.</summary>
    /// <param name="write">Done on rank 0.</param>
    /// <exception cref="UserErrorException">It cannot be written; thrown on all.</exception>
    public void Write(Action<IParameterSource> write)
    {
        var ranks = sharding.Ranks;
        var divided = model.Parameters.Any(p => sharding.Divides(Slot.Weight, p.Kind));
        ranks.Together("writing a result", () =>
        {
            if (!ranks.IsFirst)
            {
                while (divided && Announce(Done) is var index and >= 0)
                {
                    Collect(model.Parameters[index]);
                }

                return;
            }

            try
            {
                write(divided ? new Source(this) : new ModelParameterSource(model));
            }
            finally
            {
                if (divided)
                {
                    Announce(Done);
                }
            }
        });
    }

    private int Announce(int index)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, index);
        return BinaryPrimitives.ReadInt32LittleEndian(sharding.Ranks.Gather("asking for a parameter", bytes)[0]);
    }

    // A parameter in pieces: what all processes hand over of one together, a copy of each, must fit an array.
    private float[] Collect(ParameterInfo p)
    {
        const int Together = 1 << 26;
        var values = new float[p.Count];
        var piece = Math.Max(1, Together / sharding.Ranks.World);
        for (long at = 0; at < p.Count; at += piece)
        {
            Collect(p, p.Offset + at, values.AsSpan((int)at, (int)Math.Min(piece, p.Count - at)));
        }

        return values;
    }

    // Every process's part of a stretch of the unit, padded to the longest.
    private void Collect(ParameterInfo p, long begin, Span<float> values)
    {
        var end = begin + values.Length;
        var (shard, world) = (trainer.Shard(Slot.Weight, p.Unit), sharding.Ranks.World);
        var size = Zero.ZeroPlan.ShardOf(shard.Whole, world);
        (long From, long To) Overlap(int rank) => (Math.Max(begin, rank * size), Math.Min(end, (rank + 1) * size));
        var longest = Enumerable.Range(0, world).Max(r => Math.Max(0, Overlap(r).To - Overlap(r).From));
        var own = new float[longest];
        var (from, to) = Overlap(sharding.Ranks.Rank);
        if (from < to)
        {
            if (_unit != p.Unit)
            {
                (_unit, _part) = (p.Unit, new float[shard.Count]);
                trainer.ReadShard(Slot.Weight, p.Unit, _part);
            }

            _part.AsSpan((int)(from - shard.Begin), (int)(to - from)).CopyTo(own);
        }

        var all = sharding.Ranks.Gather($"handing {p.Name} over", MemoryMarshal.AsBytes<float>(own));
        for (var rank = 0; rank < world; rank++)
        {
            (from, to) = Overlap(rank);
            if (from < to)
            {
                MemoryMarshal.Cast<byte, float>(all[rank])[..(int)(to - from)].CopyTo(values[(int)(from - begin)..]);
            }
        }
    }

    private sealed class Source(SharedWeights weights) : IParameterSource
    {
        private readonly ModelParameterSource _whole = new(weights.Model);
        private float[] _values = [];

        public bool TryGet(string canonicalName, out TensorType type, out long[] shape, out LongBytes bytes)
        {
            var index = weights.IndexOf(canonicalName);
            if (index < 0 || !weights.IsDivided(index))
            {
                return _whole.TryGet(canonicalName, out type, out shape, out bytes);
            }

            weights.Announce(index);
            var parameter = weights.Model.Parameters[index];
            _values = weights.Collect(parameter);
            (type, shape) = (TensorType.F32, parameter.Shape);
            bytes = LongBytes.Of(_values);
            return true;
        }

        public string Describe(string canonicalName) => _whole.Describe(canonicalName);
    }

    private Model Model => model;

    private int IndexOf(string name)
    {
        for (var i = 0; i < model.Parameters.Count; i++)
        {
            if (model.Parameters[i].Name == name)
            {
                return i;
            }
        }

        return -1;
    }

    private bool IsDivided(int index) => sharding.Divides(Slot.Weight, model.Parameters[index].Kind);
}
