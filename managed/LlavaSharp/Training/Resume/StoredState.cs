using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Zero;

namespace LlavaSharp.Training.Resume;

/// <summary>
/// The tensors of a checkpoint by parameter, however they were divided when it was written: whole in weights.safetensors and
/// optimizer.safetensors, or in shard-R-of-W.safetensors, where rank R's file has its part of each unit's flat run of floats.
/// </summary>
internal sealed class StoredState : IDisposable
{
    /// <summary>Says how the shards lie.</summary>
    public const string ShardsFile = "shards.json";

    /// <summary>What tensors of a slot are called, before the parameter's or the unit's name.</summary>
    public static readonly IReadOnlyDictionary<Slot, string> Prefixes = new Dictionary<Slot, string>
    {
        [Slot.Weight] = "",
        [Slot.FirstMoment] = "exp_avg.",
        [Slot.SecondMoment] = "exp_avg_sq.",
    };

    private readonly List<SafetensorsFile> _whole = [], _shards = [];
    private readonly Dictionary<string, long> _units = [];

    private StoredState(string folder)
    {
        try
        {
            foreach (var name in (string[])[RunCheckpoint.WeightsFile, RunCheckpoint.OptimizerFile])
            {
                if (File.Exists(Path.Combine(folder, name)))
                {
                    _whole.Add(SafetensorsFile.Open(Path.Combine(folder, name)));
                }
            }

            if (File.Exists(Path.Combine(folder, ShardsFile)))
            {
                OpenShards(folder);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Opens a checkpoint's tensors.</summary>
    /// <exception cref="UserErrorException">A file of it is not what it should be.</exception>
    public static StoredState Open(string folder) => new(folder);

    /// <summary>The name of a rank's file.</summary>
    public static string ShardName(int rank, int world) =>
        string.Create(CultureInfo.InvariantCulture, $"shard-{rank:00000}-of-{world:00000}.safetensors");

    /// <summary>What a unit's tensor is called in a shard.</summary>
    public static string TensorName(Slot slot, string unit) => (slot == Slot.Weight ? "weight." : Prefixes[slot]) + unit;

    /// <summary>Writes down how the shards lie.</summary>
    public static void WriteShardsFile(string folder, int world, IEnumerable<(string Unit, long Whole)> units) =>
        AtomicFile.WriteText(Path.Combine(folder, ShardsFile), new JsonObject
        {
            ["format"] = 1,
            ["world"] = world,
            ["rule"] = "rank r holds floats [r·S, (r+1)·S) of a unit's run, S = ceil(floats / (16·world))·16",
            ["units"] = new JsonObject(units.Select(u => KeyValuePair.Create(u.Unit, (JsonNode?)u.Whole))),
        }.ToJsonString(ResolvedConfig.Readable) + "\n");

    /// <summary>Reads a slot of a parameter.</summary>
    /// <param name="slot">Weight or moment.</param>
    /// <param name="parameter">Which.</param>
    /// <param name="values">Receives it; as long as the parameter.</param>
    /// <exception cref="UserErrorException">It is missing, or has another shape.</exception>
    public void Read(Slot slot, ParameterInfo parameter, Span<float> values)
    {
        var name = Prefixes[slot] + parameter.Name;
        if (_whole.Find(f => f.Contains(name)) is { } file)
        {
            var entry = file[name];
            if (entry.Type != TensorType.F32 || !entry.Shape.SequenceEqual(parameter.Shape))
            {
                throw new UserErrorException(
                    $"'{file.Path}': {name} is {entry.Type.SafetensorsName()} [{string.Join(", ", entry.Shape)}], "
                    + $"but the model's is F32 [{string.Join(", ", parameter.Shape)}]");
            }

            TensorConvert.ToFloats(TensorType.F32, file.Bytes(name), 0, values);
            return;
        }

        var unit = ZeroUnit.NameOf(parameter);
        if (!_units.TryGetValue(unit, out var whole) || parameter.Offset + parameter.Count > whole)
        {
            // Named as the whole file would name it.
            throw new UserErrorException($"the checkpoint has no {name}, neither whole nor in shards");
        }

        var size = ZeroPlan.ShardOf(whole, _shards.Count);
        var end = parameter.Offset + parameter.Count;
        for (var rank = (int)(parameter.Offset / size); rank < _shards.Count && rank * size < end; rank++)
        {
            var part = _shards[rank].Bytes(TensorName(slot, unit));
            var begin = rank * size;
            var (from, to) = (Math.Max(parameter.Offset, begin), Math.Min(end, begin + (part.Length / sizeof(float))));
            TensorConvert.ToFloats(
                TensorType.F32, part, from - begin, values.Slice((int)(from - parameter.Offset), (int)(to - from)));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _whole.ForEach(f => f.Dispose());
        _shards.ForEach(f => f.Dispose());
    }

    private void OpenShards(string folder)
    {
        var path = Path.Combine(folder, ShardsFile);
        try
        {
            var json = JsonNode.Parse(File.ReadAllBytes(path))!;
            var world = json["world"]!.GetValue<int>();
            foreach (var (unit, whole) in json["units"]!.AsObject())
            {
                _units[unit] = whole!.GetValue<long>();
            }

            for (var rank = 0; rank < world; rank++)
            {
                _shards.Add(SafetensorsFile.Open(Path.Combine(folder, ShardName(rank, world))));
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or FormatException)
        {
            throw new UserErrorException($"{path} does not say how shards lie: {e.Message}", e);
        }
    }
}
