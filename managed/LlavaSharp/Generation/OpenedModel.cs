using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Generation;

/// <summary>A Hugging Face LLaVA folder, opened: the model in the engine, its tokenizer, its image processor.</summary>
public sealed class OpenedModel : IDisposable
{
    private readonly LoadedModel _loaded;

    private OpenedModel(Engine engine, string folder)
    {
        if (!Directory.Exists(folder))
        {
            throw new UserErrorException($"model folder {folder} does not exist");
        }

        Config = LlavaConfig.Load(folder);
        Tokenizer = LlavaTokenizer.Load(folder);
        Processor = new ImageProcessor(ImageProcessorConfig.Load(folder));
        ModelLoader.CheckVocabulary(Config, Tokenizer);
        _loaded = ModelLoader.Load(engine, folder);
    }

    /// <summary>The model, in the engine.</summary>
    public Model Model => _loaded.Model;

    /// <summary>Its shape.</summary>
    public LlavaConfig Config { get; }

    /// <summary>Its tokenizer.</summary>
    public LlavaTokenizer Tokenizer { get; }

    /// <summary>Its image processor.</summary>
    public ImageProcessor Processor { get; }

    /// <summary>How its images become square.</summary>
    public ImageAspectRatio ImageMode => Config.ImageAspectRatio == "pad" ? ImageAspectRatio.Pad : ImageAspectRatio.Square;

    /// <summary>Opens a folder.</summary>
    /// <param name="engine">Where the model goes.</param>
    /// <param name="folder">The folder.</param>
    /// <returns>The opened model.</returns>
    /// <exception cref="UserErrorException">The folder is missing, incomplete, or asks for what is not implemented.</exception>
    public static OpenedModel Open(Engine engine, string folder) => new(engine, folder);

    /// <inheritdoc/>
    public void Dispose() => _loaded.Dispose();
}
