using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Training.Resume;

/// <summary>
/// The model that a run's checkpoint holds: what trained from the checkpoint, whole or in the ranks' shards, the rest from the folders
/// that the run began with. One parameter at a time is put together, so no more than that is ever held.
/// </summary>
public sealed class TrainedModel : IParameterSource, IDisposable
{
    private readonly StoredState _state;
    private readonly Dictionary<string, ParameterInfo> _trained;
    private float[] _values = [];

    private TrainedModel(string folder, ModelSource source, UnitKinds trained)
    {
        Base = source;
        using (var engine = new Engine(new EngineOptions { Threads = 1 }))
        using (var model = ModelLoader.MakeModel(engine, source.Config))
        {
            // Its table alone is of interest: where parameters lie in a unit. A page that nobody touches costs nothing.
            _trained = model.Parameters.Where(p => (p.Kind & trained) != 0).ToDictionary(p => p.Name, StringComparer.Ordinal);
        }

        _state = StoredState.Open(folder);
    }

    /// <summary>The folders that the run began with.</summary>
    public ModelSource Base { get; }

    /// <summary>Whether a folder is a checkpoint of a run.</summary>
    /// <param name="folder">The folder.</param>
    /// <returns>True where both the state and the flags of a run lie in it.</returns>
    public static bool IsCheckpoint(string folder) =>
        File.Exists(Path.Combine(folder, RunState.FileName)) && File.Exists(Path.Combine(folder, ResolvedConfig.FileName));

    /// <summary>Opens a checkpoint.</summary>
    /// <param name="folder">The checkpoint; the folders that its flags name must be where they were.</param>
    /// <param name="clipFolder">The vision tower's folder, if it is elsewhere now.</param>
    /// <returns>The model.</returns>
    /// <exception cref="UserErrorException">It is damaged, holds an adapter or a projector alone, or a folder is gone.</exception>
    public static TrainedModel Open(string folder, string? clipFolder = null)
    {
        if (CheckpointManifest.FindDamage(folder) is { } damage)
        {
            throw new UserErrorException($"{folder} is damaged: {damage}; name another checkpoint");
        }

        var options = TrainOptionsParser.ParseRun(Path.Combine(folder, ResolvedConfig.FileName));
        if (options.LoraEnable || options.TuneMmMlpAdapter)
        {
            var projector = Path.Combine(folder, MmProjectorFile.FileName);
            throw new UserErrorException(options.TuneMmMlpAdapter
                ? $"{folder} is of stage 1: convert --from {options.ModelNameOrPath} with --projector {projector}"
                : $"{folder} holds an adapter: use merge-lora with --model {options.ModelNameOrPath} and --adapter {folder}");
        }

        var source = ModelSource.Open(TrainSetup.FindParts(options with { VisionTower = clipFolder ?? options.VisionTower }));
        try
        {
            return new(folder, source, TrainingRun.TrainedUnits(options with { ImageAspectRatio = source.Config.ImageAspectRatio }));
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public bool TryGet(string canonicalName, out TensorType type, out long[] shape, out LongBytes bytes)
    {
        if (!_trained.TryGetValue(canonicalName, out var parameter))
        {
            return Base.TryGet(canonicalName, out type, out shape, out bytes);
        }

        Array.Resize(ref _values, Math.Max(_values.Length, (int)parameter.Count));
        var values = _values.AsSpan(0, (int)parameter.Count);
        _state.Read(Slot.Weight, parameter, values);
        (type, shape) = (TensorType.F32, parameter.Shape);
        bytes = LongBytes.Of(values);
        return true;
    }

    /// <inheritdoc/>
    public string Describe(string canonicalName) => _trained.ContainsKey(canonicalName) ? "the checkpoint" : Base.Describe(canonicalName);

    /// <inheritdoc/>
    public void Dispose()
    {
        _state.Dispose();
        Base.Dispose();
    }
}
