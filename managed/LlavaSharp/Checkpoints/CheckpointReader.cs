using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>The tensors of a checkpoint folder, over one file or several shards: <c>model.safetensors</c>, or
/// shards named by <c>model.safetensors.index.json</c>, or the same of <c>pytorch_model.bin</c>. Names are the
/// file's own. Nothing is read until a tensor is asked for.</summary>
public sealed class CheckpointReader : IDisposable
{
    private readonly Dictionary<string, ITensorFile> _owners = [];
    private readonly List<ITensorFile> _files = [];

    private CheckpointReader(string folder) => Folder = folder;

    /// <summary>The folder, as it was given.</summary>
    public string Folder { get; }

    /// <summary>Names of all tensors, in ordinal order.</summary>
    public IReadOnlyList<string> Names => field ??= [.. _owners.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Opens a folder, all its shards, and checks the index against them.</summary>
    /// <exception cref="UserErrorException">The folder holds no weights, a shard or a tensor named by the index is
    /// missing, or a file is damaged.</exception>
    public static CheckpointReader Open(string folder)
    {
        var reader = new CheckpointReader(folder);
        try
        {
            reader.OpenFiles();
            return reader;
        }
        catch
        {
            reader.Dispose();
            throw;
        }
    }

    /// <summary>Opens a single .safetensors or .bin file as a checkpoint.</summary>
    /// <exception cref="UserErrorException">The file is missing or damaged.</exception>
    public static CheckpointReader OpenFile(string path)
    {
        var reader = new CheckpointReader(path);
        reader.Add(reader.OpenOne(path));
        return reader;
    }

    /// <summary>Whether there is a tensor of that name.</summary>
    public bool Contains(string name) => _owners.ContainsKey(name);

    /// <summary>The file that holds a tensor; the folder when none does.</summary>
    public string Location(string name) => _owners.TryGetValue(name, out ITensorFile? file) ? file.Path : Folder;

    /// <summary>The element type of a tensor that is there.</summary>
    internal TensorType TypeOf(string name) => _owners[name].TypeOf(name);

    /// <summary>Finds a tensor.</summary>
    /// <param name="name">Its name in the checkpoint.</param>
    /// <param name="type">Encoding of its elements.</param>
    /// <param name="shape">Row-major axes.</param>
    /// <param name="bytes">Its elements, valid until <see cref="Dispose"/>.</param>
    public bool TryGet(string name, out TensorType type, out long[] shape, out LongBytes bytes)
    {
        if (_owners.TryGetValue(name, out ITensorFile? file))
        {
            return file.TryGet(name, out type, out shape, out bytes);
        }

        type = default;
        shape = [];
        bytes = default;
        return false;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _files.ForEach(f => f.Dispose());
        _files.Clear();
        _owners.Clear();
    }

    private void OpenFiles()
    {
        if (!Directory.Exists(Folder))
        {
            throw new UserErrorException(FileLinks.WhyNoFolder(Folder) ?? $"the checkpoint folder '{Folder}' does not exist");
        }

        foreach (string stem in (string[])["model.safetensors", "pytorch_model.bin"])
        {
            string single = Path.Combine(Folder, stem);
            string index = single + ".index.json";
            if (File.Exists(single))
            {
                Add(OpenOne(single));
                return;
            }

            if (File.Exists(index))
            {
                OpenShards(index);
                return;
            }
        }

        throw new UserErrorException($"'{Folder}' holds no weights: neither model.safetensors, pytorch_model.bin, "
            + "nor an index of shards of them is there");
    }

    private void OpenShards(string indexPath)
    {
        ConfigJson map = ConfigJson.Load(indexPath).Object("weight_map")
            ?? throw new UserErrorException($"'{indexPath}' has no weight_map");
        var shards = new Dictionary<string, ITensorFile>();
        foreach ((string tensor, string shard) in map.Strings())
        {
            if (!shards.TryGetValue(shard, out ITensorFile? file))
            {
                file = OpenShard(indexPath, shard);
                shards.Add(shard, file);
            }

            if (!file.Contains(tensor))
            {
                throw new UserErrorException($"'{indexPath}' says that tensor {SafetensorsHeader.Quote(tensor)} is in "
                    + $"{SafetensorsHeader.Quote(shard)}, but that shard does not hold it");
            }

            _owners.Add(tensor, file);
        }

        // A tensor that the index forgets is loaded all the same, as transformers does, and may be one that the model has no place for.
        foreach (ITensorFile file in shards.Values)
        {
            foreach (string name in file.Names)
            {
                _owners.TryAdd(name, file);
            }
        }
    }

    private ITensorFile OpenShard(string indexPath, string shard)
    {
        // A shard is a plain file name beside its index: an index must not reach elsewhere.
        if (shard.Length == 0 || shard != Path.GetFileName(shard) || shard is "." or ".." || shard.Contains('\\'))
        {
            throw new UserErrorException($"'{indexPath}' names a shard {SafetensorsHeader.Quote(shard)} outside its folder");
        }

        string path = Path.Combine(Folder, shard);
        return File.Exists(path)
            ? OpenOne(path)
            : throw new UserErrorException($"'{indexPath}' names the shard {SafetensorsHeader.Quote(shard)}, which is "
                + "missing; copy or download it");
    }

    private ITensorFile OpenOne(string path)
    {
        ITensorFile file = path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase)
            ? SafetensorsFile.Open(path) : TorchArchive.Open(path);
        _files.Add(file);
        return file;
    }

    private void Add(ITensorFile file)
    {
        foreach (string name in file.Names)
        {
            _owners.Add(name, file);
        }
    }
}
