using LlavaSharp.Interop;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>Makes an engine's model from checkpoint folders: every parameter of the engine's table is found, compared
/// with the config, and copied in; float16 and bfloat16 are converted by the engine.</summary>
public static class ModelLoader
{
    /// <summary>The shape that the engine asks for.</summary>
    public static ModelConfig ToModelConfig(LlavaConfig config)
    {
        TextConfig text = config.Text;
        var shape = new ModelConfig
        {
            Hidden = text.HiddenSize,
            Layers = text.LayerCount,
            Heads = text.HeadCount,
            KvHeads = text.KeyValueHeadCount,
            HeadDim = text.HeadDim,
            Intermediate = text.IntermediateSize,
            Vocabulary = text.VocabularySize,
            NormEps = text.RmsNormEpsilon,
            RopeTheta = text.RopeTheta,
        };
        return config.Vision is not { } vision ? shape : shape with
        {
            VisionHidden = vision.HiddenSize,
            VisionLayers = vision.LayerCount,
            VisionHeads = vision.HeadCount,
            VisionIntermediate = vision.IntermediateSize,
            ImageSize = vision.ImageSize,
            PatchSize = vision.PatchSize,
            VisionActivation = vision.Activation == "gelu" ? Activation.Gelu : Activation.QuickGelu,
            VisionFeatureLayer = config.FeatureLayer,
            VisionKeepClassToken = config.KeepClassToken,
            VisionNormEps = vision.LayerNormEpsilon,
            Projector = config.Projector.IsMlp ? ProjectorKind.Mlp
                : config.Projector.Depth == 0 ? ProjectorKind.Identity : ProjectorKind.Linear,
            ProjectorDepth = Math.Max(config.Projector.Depth, 1),
        };
    }

    /// <summary>Loads a Hugging Face LLaVA folder.</summary>
    /// <exception cref="UserErrorException">A file is missing, damaged or not supported, or a tensor has another shape
    /// than the config says (the message has both).</exception>
    public static LoadedModel Load(Engine engine, string folder) => Load(engine, new ModelParts { LanguageFolder = folder });

    /// <summary>Loads a Hugging Face LLaVA folder, or puts a model together from a language model's folder, a CLIP
    /// folder and a projector.</summary>
    /// <exception cref="UserErrorException">As the other overload.</exception>
    public static LoadedModel Load(Engine engine, ModelParts parts)
    {
        LlavaConfig config = ReadConfig(parts);
        bool fresh = config.Vision is not null && config.Projector.Depth > 0 && parts.ProjectorFile is null
            && !LlavaConfig.IsLlavaFolder(parts.LanguageFolder);
        Model? model = null;
        try
        {
            model = new Model(engine, ToModelConfig(config));
            LoadUnits(model, config, parts, fresh);
            var loaded = new LoadedModel(model, config, fresh);
            model = null;
            return loaded;
        }
        finally
        {
            model?.Dispose();
        }
    }

    /// <summary>Reads the shape of a model to be put together, without its weights.</summary>
    /// <exception cref="UserErrorException">A config is missing, malformed or not supported.</exception>
    public static LlavaConfig ReadConfig(ModelParts parts)
    {
        if (!LlavaConfig.IsLlavaFolder(parts.LanguageFolder))
        {
            return LlavaConfig.Combine(parts.LanguageFolder, parts.ClipFolder, parts.Projector, parts.FeatureLayer ?? -2,
                parts.KeepClassToken ?? false, parts.ImageAspectRatio ?? "square");
        }

        LlavaConfig config = LlavaConfig.Load(parts.LanguageFolder);
        config = config with
        {
            FeatureLayer = parts.FeatureLayer ?? config.FeatureLayer,
            KeepClassToken = parts.KeepClassToken ?? config.KeepClassToken,
            ImageAspectRatio = parts.ImageAspectRatio ?? config.ImageAspectRatio,
        };
        LlavaConfigReader.CheckFeatureLayer("mm_vision_select_layer", config.FeatureLayer, config.Vision!.LayerCount);
        return config;
    }

    /// <summary>Copies parameters into a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="source">Where they come from.</param>
    /// <param name="units">Which units are copied; all of their parameters must be there.</param>
    /// <exception cref="UserErrorException">A parameter is missing, or has another shape or no float type.</exception>
    public static void Fill(Model model, IParameterSource source, UnitKinds units)
    {
        foreach (ParameterInfo parameter in model.Parameters.Where(p => units.HasFlag(p.Kind)))
        {
            ParameterCheck.Require(source, parameter.Name, parameter.Shape, out TensorType type, out ReadOnlySpan<byte> bytes);
            model.Write(parameter.Name, ElementTypeOf(type), parameter.Shape, bytes);
        }
    }

    /// <summary>Draws a fresh projector as PyTorch's Linear does: weight and bias from U(±1/√fan_in).</summary>
    public static void InitialiseProjector(Model model, LlavaConfig config, long seed)
    {
        double bound = 0;
        foreach ((string name, long[] shape) in ParameterTable.Projector(config))
        {
            // A bias follows its weight, and has the weight's fan-in.
            bound = shape.Length == 2 ? 1 / Math.Sqrt(shape[1]) : bound;
            model.Fill(name, Interop.Fill.Uniform, -bound, bound, seed);
        }
    }

    /// <summary>Refuses a tokenizer that does not belong to the weights.</summary>
    /// <exception cref="UserErrorException">It has more pieces than the embedding has rows, or a piece where the config
    /// puts <c>&lt;image&gt;</c>.</exception>
    public static void CheckVocabulary(LlavaConfig config, LlavaTokenizer tokenizer)
    {
        if (tokenizer.PieceCount > config.Text.VocabularySize)
        {
            throw new UserErrorException($"the tokenizer has {tokenizer.PieceCount} pieces, but the language model only "
                + $"{config.Text.VocabularySize} rows (vocab_size); tokenizer.model belongs to another model");
        }

        if (config.ImageTokenIndex is int image && image < tokenizer.PieceCount)
        {
            throw new UserErrorException($"the config's image_token_index {image} is a piece of the tokenizer, which has "
                + $"{tokenizer.PieceCount}; tokenizer.model belongs to another model");
        }
    }

    private static void LoadUnits(Model model, LlavaConfig config, ModelParts parts, bool fresh)
    {
        const UnitKinds Decoder = UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head;
        bool llava = LlavaConfig.IsLlavaFolder(parts.LanguageFolder);
        UnitKinds first = !llava ? Decoder
            : parts.ProjectorFile is null ? Decoder | UnitKinds.Vision | UnitKinds.Projector : Decoder | UnitKinds.Vision;
        using (var source = new CheckpointSource(CheckpointReader.Open(parts.LanguageFolder)))
        {
            FillAll(model, source, first);
        }

        if (!llava && parts.ClipFolder is not null)
        {
            using var clip = new CheckpointSource(CheckpointReader.Open(parts.ClipFolder));
            FillAll(model, clip, UnitKinds.Vision);
        }

        if (fresh)
        {
            InitialiseProjector(model, config, parts.Seed);
        }
        else if (parts.ProjectorFile is not null && config.Vision is not null)
        {
            using CheckpointSource projector = MmProjectorFile.Open(parts.ProjectorFile);
            FillAll(model, projector, UnitKinds.Projector);
        }
    }

    /// <summary>Copies units in, and refuses a checkpoint that has more in them than the config says.</summary>
    private static void FillAll(Model model, CheckpointSource source, UnitKinds units)
    {
        var known = model.Parameters.Select(p => p.Name).ToHashSet();
        string? extra = source.Names.Where(name => units.HasFlag(KindOf(name)) && !known.Contains(name)).Order(StringComparer.Ordinal)
            .FirstOrDefault();
        if (extra is not null)
        {
            throw new UserErrorException($"{source.Describe(extra)} has no place in the model ({extra}): layer counts or the "
                + "projector type differ from the checkpoint's");
        }

        Fill(model, source, units);
    }

    private static UnitKinds KindOf(string canonicalName) => canonicalName[..canonicalName.IndexOf('.', StringComparison.Ordinal)] switch
    {
        "vision" => UnitKinds.Vision,
        "projector" => UnitKinds.Projector,
        "embed" => UnitKinds.Embed,
        "layer" => UnitKinds.Layer,
        _ => UnitKinds.Head,
    };

    private static ElementType ElementTypeOf(TensorType type) => type switch
    {
        TensorType.F16 => ElementType.Float16,
        TensorType.BF16 => ElementType.BFloat16,
        TensorType.F64 => ElementType.Float64,
        _ => ElementType.Float32,
    };
}
