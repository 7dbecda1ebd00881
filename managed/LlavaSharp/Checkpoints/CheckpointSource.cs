using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>A checkpoint's tensors by the engine's canonical names, whichever spelling the files use.</summary>
public sealed class CheckpointSource : IParameterSource, IDisposable
{
    private readonly CheckpointReader _reader;
    private readonly Dictionary<string, string> _stored = [];
    private readonly List<string> _unknown = [];

    /// <summary>Looks through the reader's names; the source then owns the reader.</summary>
    /// <exception cref="UserErrorException">Two stored names mean the same parameter.</exception>
    public CheckpointSource(CheckpointReader reader)
    {
        _reader = reader;
        foreach (string name in reader.Names)
        {
            if (!ParameterNames.TryToCanonical(name, out string? canonical))
            {
                _unknown.Add(name);
            }
            else if (!_stored.TryAdd(canonical, name))
            {
                string other = _stored[canonical];
                reader.Dispose();
                throw new UserErrorException($"'{reader.Folder}' holds {canonical} twice: as {SafetensorsHeader.Quote(other)} and as "
                    + SafetensorsHeader.Quote(name));
            }
        }
    }

    /// <summary>The canonical names found.</summary>
    public IReadOnlyCollection<string> Names => _stored.Keys;

    /// <summary>Refuses what the files hold beside parameters, where it would change what the model computes.</summary>
    /// <exception cref="UserErrorException">There is such a tensor; see <see cref="UnusedTensors"/>.</exception>
    public void RefuseUnknown() => UnusedTensors.Refuse(_unknown, _reader.TypeOf, _reader.Location);

    /// <inheritdoc/>
    public bool TryGet(string canonicalName, out TensorType type, out long[] shape, out LongBytes bytes)
    {
        if (_stored.TryGetValue(canonicalName, out string? name))
        {
            return _reader.TryGet(name, out type, out shape, out bytes);
        }

        type = default;
        shape = [];
        bytes = default;
        return false;
    }

    /// <inheritdoc/>
    public string Describe(string canonicalName) => _stored.TryGetValue(canonicalName, out string? name)
        ? $"'{_reader.Location(name)}': tensor {SafetensorsHeader.Quote(name)}"
        : $"'{_reader.Folder}'";

    /// <inheritdoc/>
    public void Dispose() => _reader.Dispose();
}
