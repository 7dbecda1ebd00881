using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>A model as it lies in folders, whatever their layout: its shape, and its parameters by canonical name. Weights are
/// mapped, never copied: what is asked for is read, so a model larger than memory can be converted.</summary>
public sealed class ModelSource : IParameterSource, IDisposable
{
    private readonly ModelParts _parts;
    private readonly List<CheckpointSource> _opened = [];
    private readonly Dictionary<UnitKinds, CheckpointSource> _owners = [];
    private readonly LlavaTower? _tower;

    private ModelSource(ModelParts parts)
    {
        _parts = parts;
        Config = ModelLoader.ReadConfig(parts);
        Layout = LlavaConfig.LayoutOf(parts.LanguageFolder);
        _tower = LlavaTower.Of(parts);
    }

    /// <summary>The model's shape.</summary>
    public LlavaConfig Config { get; }

    /// <summary>How the language model's folder is laid out.</summary>
    public FolderLayout Layout { get; }

    /// <summary>Whether no folder holds a projector, so that one has to be drawn.</summary>
    public bool LacksProjector { get; private set; }

    /// <summary>Whether the model has an <c>image_newline</c> that no folder holds, so that it has to be drawn.</summary>
    public bool LacksNewline { get; private set; }

    /// <summary>The folders and files that it is read from.</summary>
    public IEnumerable<string> Places =>
        new[] { _parts.LanguageFolder, _parts.ConfigFolder, _tower?.Folder ?? _parts.ClipFolder, _parts.ProjectorFile }.OfType<string>();

    /// <summary>Opens the files of a model and compares their names with its config.</summary>
    /// <exception cref="UserErrorException">A file is missing, damaged or not supported, or holds what the config has no place
    /// for.</exception>
    public static ModelSource Open(ModelParts parts)
    {
        var source = new ModelSource(parts);
        try
        {
            source.OpenFiles();
            source.RefuseLeftovers();
            return source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>Finds every parameter that is not drawn, and compares its shape with the config's.</summary>
    /// <param name="values">Whether all values are read, too, and must be finite.</param>
    /// <exception cref="UserErrorException">One is missing, or has another shape or no float type.</exception>
    public void CheckShapes(bool values = false)
    {
        foreach ((string name, long[] shape) in ParameterTable.Shapes(Config))
        {
            bool drawn = KindOf(name) switch
            {
                UnitKinds.Projector => LacksProjector,
                UnitKinds.Newline => LacksNewline,
                _ => false,
            };
            if (!drawn && values)
            {
                ParameterCheck.RequireFinite(this, name, shape, out _, out _);
            }
            else if (!drawn)
            {
                ParameterCheck.Require(this, name, shape, out _, out _);
            }
        }
    }

    /// <summary>The fields of the original code's config that the model's shape does not say.</summary>
    public LlavaFields ReadFields() => LlavaFields.Read(_parts.ConfigFolder ?? _parts.LanguageFolder);

    /// <summary>The tokenizer of the language model's folder.</summary>
    /// <exception cref="UserErrorException">It is missing, or belongs to another model.</exception>
    public LlavaTokenizer LoadTokenizer()
    {
        LlavaTokenizer tokenizer = LlavaTokenizer.Load(_parts.LanguageFolder).WithTokens(Config.ImageTokens);
        ModelLoader.CheckTokens(Config, tokenizer);
        ModelLoader.CheckVocabulary(Config, tokenizer);
        return tokenizer;
    }

    /// <summary>How the model's pictures are prepared.</summary>
    /// <exception cref="UserErrorException">The file is missing or malformed, or makes pictures of another size than the tower
    /// reads.</exception>
    public ImageProcessorConfig LoadProcessor()
    {
        ImageProcessorConfig processor = ModelLoader.ReadProcessor(_parts);
        return processor.Size == Config.Vision?.ImageSize
            ? processor
            : throw new UserErrorException($"the image processor makes {processor.Size} pixels a side, but the vision tower reads "
                + $"{Config.Vision?.ImageSize}");
    }

    /// <inheritdoc/>
    public bool TryGet(string canonicalName, out TensorType type, out long[] shape, out LongBytes bytes)
    {
        if (_owners.TryGetValue(KindOf(canonicalName), out CheckpointSource? owner))
        {
            return owner.TryGet(canonicalName, out type, out shape, out bytes)
                && (canonicalName is not ("embed.weight" or "head.weight") || !Config.ImageTokens.Any()
                    || Grow(canonicalName, ref type, ref shape, ref bytes));
        }

        type = default;
        shape = [];
        bytes = default;
        return false;
    }

    /// <inheritdoc/>
    public string Describe(string canonicalName) => _owners.TryGetValue(KindOf(canonicalName), out CheckpointSource? owner)
        ? owner.Describe(canonicalName) : $"'{_parts.LanguageFolder}'";

    /// <inheritdoc/>
    public void Dispose() => _opened.ForEach(source => source.Dispose());

    internal static UnitKinds KindOf(string canonicalName) => canonicalName.Split('.')[0] switch
    {
        "vision" => UnitKinds.Vision,
        "projector" => UnitKinds.Projector,
        "embed" => UnitKinds.Embed,
        "layer" => UnitKinds.Layer,
        ParameterTable.NewlineName => UnitKinds.Newline,
        _ => UnitKinds.Head,
    };

    // New tokens have rows that the checkpoint lacks; those of the embedding may have been trained in stage 1.
    private bool Grow(string name, ref TensorType type, ref long[] shape, ref LongBytes bytes)
    {
        long rows = Config.Text.VocabularySize;
        if (shape is [var stored, _] && stored < rows)
        {
            CheckpointSource? given = name == "embed.weight" && _parts.ProjectorFile is not null
                ? _owners.GetValueOrDefault(UnitKinds.Projector) : null;
            bytes = LongBytes.Of(AddedRows.Append(name, shape, type, bytes, rows, given));
            (type, shape) = (TensorType.F32, [rows, shape[1]]);
        }

        return true;
    }

    private void OpenFiles()
    {
        CheckpointSource language = Own(new CheckpointSource(CheckpointReader.Open(_parts.LanguageFolder)),
            UnitKinds.Embed, UnitKinds.Layer, UnitKinds.Head);
        if (Config.Vision is null)
        {
            return;
        }

        bool llava = Layout != FolderLayout.LanguageModel;
        if (llava && (_tower is null || Holds(language, "vision.")))
        {
            _owners[UnitKinds.Vision] = language;
        }
        else
        {
            string folder = _tower?.Folder ?? throw new UserErrorException($"'{_parts.LanguageFolder}' holds no vision tower, and the "
                + "one that its config.json names by mm_vision_tower is not on this machine; name the CLIP folder with --vision_tower");
            Own(new CheckpointSource(CheckpointReader.Open(folder)), UnitKinds.Vision);
        }

        if (_parts.ProjectorFile is { } file)
        {
            Own(MmProjectorFile.Open(file), UnitKinds.Projector);
        }
        else if (llava)
        {
            _owners[UnitKinds.Projector] = language;
        }
        else
        {
            LacksProjector = Config.Projector.Depth > 0;
        }

        // Of a projector's file first: stage 1 leaves it there. The original leaves it out, and draws it anew.
        if (Config.HasNewline && _opened.FindLast(s => s.Names.Contains(ParameterTable.NewlineName)) is { } newline)
        {
            _owners[UnitKinds.Newline] = newline;
        }
        else
        {
            LacksNewline = Config.HasNewline;
        }
    }

    private CheckpointSource Own(CheckpointSource source, params ReadOnlySpan<UnitKinds> kinds)
    {
        _opened.Add(source);
        foreach (UnitKinds kind in kinds)
        {
            _owners[kind] = source;
        }

        return source;
    }

    /// <summary>A checkpoint that has more than the config says is another model's.</summary>
    private void RefuseLeftovers()
    {
        HashSet<string> known = [.. ParameterTable.Shapes(Config).Select(p => p.Key)];
        foreach (CheckpointSource source in _opened)
        {
            source.RefuseUnknown();
            RefuseUnread(source);
            string? extra = source.Names.Where(name => _owners.GetValueOrDefault(KindOf(name)) == source && !known.Contains(name))
                .Order(StringComparer.Ordinal).FirstOrDefault();
            if (extra is not null)
            {
                throw new UserErrorException($"{source.Describe(extra)} has no place in the model ({extra}): layer counts or the "
                    + "projector type differ from the checkpoint's");
            }
        }
    }

    /// <summary>A projector or a tower in a folder that its config.json calls a language model's would be left out, and another one taken
    /// or drawn. A newline alone is in published checkpoints that do not use it.</summary>
    private void RefuseUnread(CheckpointSource source)
    {
        string? unread = source.Names.Where(name => KindOf(name) is UnitKinds.Projector or UnitKinds.Vision
            && !_owners.ContainsKey(KindOf(name))).Order(StringComparer.Ordinal).FirstOrDefault();
        if (unread is not null)
        {
            throw new UserErrorException($"{source.Describe(unread)} is of a LLaVA model, but config.json beside it has the model_type of "
                + "a language model, and the tensor would not be used; take the config.json that belongs to the weights");
        }
    }

    private static bool Holds(CheckpointSource source, string prefix) =>
        source.Names.Any(name => name.StartsWith(prefix, StringComparison.Ordinal));
}
