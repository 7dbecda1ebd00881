using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>Makes an engine's model from checkpoint folders: every parameter of the engine's table is found, compared
/// with the config, and copied in; float16 and bfloat16 are converted by the engine.</summary>
public static class ModelLoader
{
    private const UnitKinds Stored = UnitKinds.Vision | UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head;

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
            ImageNewline = config.HasNewline,
            Projector = config.Projector.IsMlp ? ProjectorKind.Mlp
                : config.Projector.Depth == 0 ? ProjectorKind.Identity : ProjectorKind.Linear,
            ProjectorDepth = Math.Max(config.Projector.Depth, 1),
        };
    }

    /// <summary>Makes an engine's model, all of its parameters zero.</summary>
    /// <param name="engine">Where it goes.</param>
    /// <param name="config">Its shape.</param>
    /// <param name="storage">How its weights are stored; null is float32.</param>
    /// <exception cref="UserErrorException">The engine computes no model of that shape.</exception>
    public static Model MakeModel(Engine engine, LlavaConfig config, WeightStorage? storage = null)
    {
        try
        {
            return new Model(engine, (storage ?? WeightStorage.Float32).Apply(ToModelConfig(config)));
        }
        catch (EngineException e) when (e.Status is EngineStatus.Invalid or EngineStatus.Shape or EngineStatus.Unsupported)
        {
            throw new UserErrorException($"config.json describes a model that cannot be computed: {e.Message}", e);
        }
    }

    /// <summary>Loads a LLaVA folder of either layout.</summary>
    /// <exception cref="UserErrorException">A file is missing, damaged or not supported, or a tensor has another shape
    /// than the config says (the message has both).</exception>
    public static LoadedModel Load(Engine engine, string folder) => Load(engine, new ModelParts { LanguageFolder = folder });

    /// <summary>Loads a LLaVA folder, or puts a model together from a language model's folder, a CLIP folder and a
    /// projector.</summary>
    /// <exception cref="UserErrorException">As the other overload.</exception>
    public static LoadedModel Load(Engine engine, ModelParts parts)
    {
        using ModelSource source = ModelSource.Open(parts);
        return Make(engine, source.Config, source.LacksProjector, model => Fill(model, source, parts.Seed));
    }

    /// <summary>Loads a model of a given shape.</summary>
    /// <param name="engine">Where it goes.</param>
    /// <param name="config">Its shape.</param>
    /// <param name="source">Its parameters, all of them.</param>
    /// <param name="storage">How they are stored; null is float32. Each is encoded as it is read: one at a time is float32.</param>
    /// <exception cref="UserErrorException">A parameter is missing, or has another shape or no float type.</exception>
    public static LoadedModel Load(Engine engine, LlavaConfig config, IParameterSource source, WeightStorage? storage = null) =>
        Make(engine, config, false, model => Fill(model, source, Stored | UnitKinds.Projector | UnitKinds.Newline), storage);

    /// <summary>Fills a model from the folders that it was shaped after, and draws what none of them holds. Where a trainer has divided the
    /// weights, each is read as far as this process keeps it.</summary>
    /// <param name="model">The model; its adapters are left alone.</param>
    /// <param name="source">The folders.</param>
    /// <param name="seed">What is drawn is drawn from.</param>
    /// <param name="cancellation">Stops between parameters; the model is then of no use.</param>
    /// <exception cref="UserErrorException">A parameter is missing, or has another shape or no float type.</exception>
    public static void Fill(Model model, ModelSource source, long seed, CancellationToken cancellation = default)
    {
        var units = Stored | (source.LacksProjector ? 0 : UnitKinds.Projector) | (source.LacksNewline ? 0 : UnitKinds.Newline);
        Fill(model, source, units, cancellation);
        if (source.LacksProjector)
        {
            InitialiseProjector(model, source.Config, seed);
        }

        if (source.LacksNewline)
        {
            // randn(D) / √D, as the original.
            model.Fill(ParameterTable.NewlineName, Interop.Fill.Normal, 0, 1 / Math.Sqrt(source.Config.Text.HiddenSize), seed);
        }
    }

    /// <summary>Reads the shape of a model to be put together, without its weights.</summary>
    /// <exception cref="UserErrorException">A config is missing, malformed or not supported.</exception>
    public static LlavaConfig ReadConfig(ModelParts parts)
    {
        LlavaConfig config = ReadShape(parts);
        return config with { Text = StopTokens.Merge(config.Text, parts.LanguageFolder) };
    }

    private static LlavaConfig ReadShape(ModelParts parts)
    {
        string folder = parts.ConfigFolder ?? parts.LanguageFolder;
        if (!LlavaConfig.IsLlavaFolder(folder))
        {
            return LlavaConfig.Combine(parts.LanguageFolder, parts.ClipFolder, parts.Projector, parts.FeatureLayer ?? -2,
                parts.KeepClassToken ?? false, parts.ImageAspectRatio ?? TowerAspect(parts.ClipFolder)).WithTiles(parts).WithTokens(parts);
        }

        LlavaConfig config = LlavaConfig.Load(folder, parts.ClipFolder);
        config = config with
        {
            FeatureLayer = parts.FeatureLayer ?? config.FeatureLayer,
            KeepClassToken = parts.KeepClassToken ?? config.KeepClassToken,
            ImageAspectRatio = parts.ImageAspectRatio ?? config.ImageAspectRatio,
        };
        config = config.WithTiles(parts).WithTokens(parts);
        LlavaConfigReader.CheckFeatureLayer("mm_vision_select_layer", config.FeatureLayer, config.Vision!.LayerCount);
        return config;
    }

    private static string TowerAspect(string? clip) => clip is not null && ImageProcessorConfig.Find(clip)?.Pads == true ? "pad" : "square";

    /// <summary>Reads how the pictures of a model to be put together are prepared.</summary>
    /// <exception cref="UserErrorException">The file is missing or malformed.</exception>
    public static ImageProcessorConfig ReadProcessor(ModelParts parts) => LlavaTower.Of(parts) is { } tower
        ? tower.Processor(parts.ConfigFolder ?? parts.LanguageFolder) : ImageProcessorConfig.Load(parts.LanguageFolder);

    /// <summary>Copies parameters into a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="source">Where they come from.</param>
    /// <param name="units">Which units are copied; all of their parameters must be there.</param>
    /// <param name="cancellation">Stops between parameters; the model is then of no use.</param>
    /// <exception cref="UserErrorException">A parameter is missing, has another shape or no float type, or holds a value that is not
    /// finite.</exception>
    public static void Fill(Model model, IParameterSource source, UnitKinds units, CancellationToken cancellation = default)
    {
        foreach (ParameterInfo parameter in model.Parameters.Where(p => units.HasFlag(p.Kind)))
        {
            cancellation.ThrowIfCancellationRequested();
            ParameterCheck.RequireFinite(source, parameter.Name, parameter.Shape, out TensorType type, out LongBytes bytes);
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
    /// <exception cref="UserErrorException">It has a piece or an added token without a row of the embedding, or a piece where the
    /// config puts <c>&lt;image&gt;</c>.</exception>
    public static void CheckVocabulary(LlavaConfig config, LlavaTokenizer tokenizer)
    {
        CheckRows(config.Text.VocabularySize, tokenizer);
        if (config.ImageTokenIndex is int image && image < tokenizer.PieceCount)
        {
            throw new UserErrorException($"the config's image_token_index {image} is a piece of the tokenizer, which has "
                + $"{tokenizer.PieceCount}; tokenizer.model belongs to another model");
        }
    }

    /// <summary>Refuses a tokenizer that has a piece or an added token without a row of the embedding.</summary>
    /// <exception cref="UserErrorException">As said.</exception>
    internal static void CheckRows(int rows, LlavaTokenizer tokenizer)
    {
        if (tokenizer.PieceCount > rows)
        {
            throw new UserErrorException($"the tokenizer has {tokenizer.PieceCount} pieces, but the language model only "
                + $"{rows} rows (vocab_size); tokenizer.model belongs to another model");
        }

        if (tokenizer.Tokens.FirstOrDefault(t => t.Id >= rows) is { } outside)
        {
            throw new UserErrorException($"{outside.File ?? "the tokenizer"}: the token \"{outside.Text}\" has the id {outside.Id}, but the "
                + $"model's embedding has {rows} rows (ids 0 to {rows - 1}, vocab_size of config.json); take the token out of that file, or "
                + "give the model a row for it (resize_token_embeddings in transformers)");
        }
    }

    /// <summary>Refuses a checkpoint that asks for tokens around images without having them.</summary>
    /// <exception cref="UserErrorException">As said.</exception>
    internal static void CheckTokens(LlavaConfig config, LlavaTokenizer tokenizer)
    {
        string? missing = config.ImageTokens.FirstOrDefault(t => tokenizer.AddedTokens[t] >= config.Text.VocabularySize);
        if (missing is not null)
        {
            throw new UserErrorException($"config.json asks for {missing} (mm_use_im_start_end, mm_use_im_patch_token), but neither the "
                + $"tokenizer nor the embedding of {config.Text.VocabularySize} rows has it; the folder is incomplete");
        }
    }

    private static LoadedModel Make(
        Engine engine, LlavaConfig config, bool freshProjector, Action<Model> fill, WeightStorage? storage = null)
    {
        Model? model = null;
        try
        {
            model = MakeModel(engine, config, storage);
            fill(model);
            var loaded = new LoadedModel(model, config, freshProjector);
            model = null;
            return loaded;
        }
        finally
        {
            model?.Dispose();
        }
    }

    private static ElementType ElementTypeOf(TensorType type) => type switch
    {
        TensorType.F16 => ElementType.Float16,
        TensorType.BF16 => ElementType.BFloat16,
        TensorType.F64 => ElementType.Float64,
        _ => ElementType.Float32,
    };
}
