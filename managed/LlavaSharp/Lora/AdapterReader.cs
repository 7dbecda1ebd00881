using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Lora;

/// <summary>An adapter folder, as PEFT and LLaVA's LoRA training leave it: <c>adapter_config.json</c>,
/// <c>adapter_model.safetensors</c> or <c>.bin</c>, and, of what trained beside the adapters,
/// <c>non_lora_trainables.bin</c>. As a source it gives the adapters' parameters
/// (<c>layer.0.self_attn.q_proj.lora_A.weight</c> [r, in]) and those whole parameters that replace the base's.</summary>
public sealed class AdapterReader : IParameterSource, IDisposable
{
    /// <summary>What LLaVA calls the file of parameters that trained beside the adapters.</summary>
    public const string TrainablesFile = "non_lora_trainables.bin";

    /// <summary>The adapters' file.</summary>
    public const string WeightsFile = "adapter_model.safetensors";

    private readonly List<CheckpointReader> _files = [];
    private readonly Dictionary<string, (CheckpointReader File, string Key)> _stored = [];

    private AdapterReader(string folder)
    {
        Folder = folder;
        Config = AdapterConfig.Load(folder);
    }

    /// <summary>The folder, as it was given.</summary>
    public string Folder { get; }

    /// <summary>What adapter_config.json says.</summary>
    public AdapterConfig Config { get; }

    /// <summary>The adapted modules, such as <c>layer.0.self_attn.q_proj</c>, in ordinal order.</summary>
    public IReadOnlyList<string> Modules => field ??= [.. _stored.Keys
        .Where(n => n.EndsWith(LoraTargets.DownSuffix, StringComparison.Ordinal))
        .Select(n => n[..^LoraTargets.DownSuffix.Length]).Order(StringComparer.Ordinal)];

    /// <summary>The whole parameters that the folder holds, such as the projector's, in ordinal order.</summary>
    public IReadOnlyList<string> Replaced => field ??= [.. _stored.Keys.Where(n => !n.Contains(".lora_", StringComparison.Ordinal))
        .Order(StringComparer.Ordinal)];

    /// <summary>Opens a folder.</summary>
    /// <exception cref="UserErrorException">A file is missing, damaged or not supported, or holds a key of no known
    /// parameter.</exception>
    public static AdapterReader Open(string folder)
    {
        var adapter = new AdapterReader(folder);
        try
        {
            adapter.OpenFiles();
            return adapter;
        }
        catch
        {
            adapter.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public bool TryGet(string canonicalName, out TensorType type, out long[] shape, out LongBytes bytes)
    {
        if (_stored.TryGetValue(canonicalName, out (CheckpointReader File, string Key) stored))
        {
            return stored.File.TryGet(stored.Key, out type, out shape, out bytes);
        }

        type = default;
        shape = [];
        bytes = default;
        return false;
    }

    /// <inheritdoc/>
    public string Describe(string canonicalName) => _stored.TryGetValue(canonicalName, out (CheckpointReader File, string Key) stored)
        ? $"'{stored.File.Folder}': tensor {SafetensorsHeader.Quote(stored.Key)}" : $"'{Folder}'";

    /// <inheritdoc/>
    public void Dispose() => _files.ForEach(file => file.Dispose());

    private void OpenFiles()
    {
        string weights = Path.Combine(Folder, WeightsFile), older = Path.Combine(Folder, "adapter_model.bin");
        Add(File.Exists(weights) ? weights : File.Exists(older) ? older
            : throw new UserErrorException($"'{Folder}' holds neither {WeightsFile} nor adapter_model.bin"));
        string trainables = Path.Combine(Folder, TrainablesFile);
        if (File.Exists(trainables))
        {
            Add(trainables);
        }

        if (!Config.Options.Dora
            && _stored.Keys.FirstOrDefault(n => n.EndsWith(LoraTargets.MagnitudeSuffix, StringComparison.Ordinal)) is { } length)
        {
            throw new UserErrorException($"{Describe(length)} is DoRA's, but use_dora is false in {AdapterConfig.FileName}: one of the two "
                + "files is another adapter's");
        }

        foreach (string module in Modules)
        {
            foreach (string suffix in (string[])[LoraTargets.UpSuffix, LoraTargets.MagnitudeSuffix])
            {
                if (!_stored.ContainsKey(module + suffix) && (suffix == LoraTargets.UpSuffix || Config.Options.Dora))
                {
                    throw new UserErrorException($"{Describe(module + LoraTargets.DownSuffix)} has no {module + suffix} beside it");
                }
            }
        }

        // A product needs both of its matrices.
        if (_stored.Keys.FirstOrDefault(n => n.EndsWith(LoraTargets.UpSuffix, StringComparison.Ordinal)
            && !_stored.ContainsKey(n[..^LoraTargets.UpSuffix.Length] + LoraTargets.DownSuffix)) is { } alone)
        {
            string module = alone[..^LoraTargets.UpSuffix.Length];
            throw new UserErrorException($"{Describe(alone)} has no {module}{LoraTargets.DownSuffix} beside it");
        }

        if (Modules.Count == 0)
        {
            throw new UserErrorException($"'{Folder}' holds no adapter: no key contains lora_A");
        }
    }

    private void Add(string path)
    {
        CheckpointReader file = CheckpointReader.OpenFile(path);
        _files.Add(file);
        foreach (string key in file.Names)
        {
            if (UnusedTensors.Ignored(key))
            {
                continue;
            }

            if (!AdapterNames.TryToCanonical(key, out string? name))
            {
                throw new UserErrorException($"'{path}': tensor {SafetensorsHeader.Quote(key)} is of no parameter that a LLaVA model has");
            }

            // The second file wins over the first, as it is loaded after it.
            _stored[name] = (file, key);
        }
    }
}
