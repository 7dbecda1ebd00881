using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Generation;

/// <summary>A LLaVA folder, opened: the model in the engine, its tokenizer, its image processor.</summary>
public sealed class OpenedModel : IDisposable
{
    private readonly LoadedModel _loaded;

    private OpenedModel(Engine engine, string folder, string? adapterFolder, string? clipFolder, WeightStorage? storage)
    {
        foreach (var needed in new[] { ("model", folder), ("adapter", adapterFolder), ("vision tower", clipFolder) })
        {
            if (needed is (var what, { } path) && !Directory.Exists(path))
            {
                throw new UserErrorException(FileLinks.WhyNoFolder(path) ?? $"{what} folder {path} does not exist");
            }
        }

        using var source = AdaptedModel.Open(folder, adapterFolder, clipFolder);
        if (source.Config.Vision is null)
        {
            throw new UserErrorException($"'{folder}' is a language model without a vision tower; give a LLaVA folder"
                + (adapterFolder is null ? "" : $", or an adapter whose config.json is LLaVA's"));
        }

        (Config, Fields) = (source.Config, source.Fields);
        Tokenizer = source.Base.LoadTokenizer();
        Images = source.Config.PlanImages(source.Base.LoadProcessor());
        _loaded = ModelLoader.Load(engine, source.Config, source.Parameters, storage);
    }

    /// <summary>The model, in the engine.</summary>
    public Model Model => _loaded.Model;

    /// <summary>Its shape.</summary>
    public LlavaConfig Config { get; }

    /// <summary>What is known of its training.</summary>
    public LlavaFields Fields { get; }

    /// <summary>Its tokenizer.</summary>
    public LlavaTokenizer Tokenizer { get; }

    /// <summary>How its images become tokens.</summary>
    public ImagePlan Images { get; }

    /// <summary>Opens a folder.</summary>
    /// <param name="engine">Where the model goes.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="adapterFolder">A LoRA adapter to be merged in; the folder is then its base.</param>
    /// <param name="clipFolder">The vision tower, where config.json names one that is not on this machine.</param>
    /// <param name="storage">How its weights are stored, an adapter merged in first; null is float32.</param>
    /// <returns>The opened model.</returns>
    /// <exception cref="UserErrorException">The folder is missing, incomplete, or asks for what is not implemented.</exception>
    public static OpenedModel Open(
        Engine engine, string folder, string? adapterFolder = null, string? clipFolder = null, WeightStorage? storage = null) =>
        new(engine, folder, adapterFolder, clipFolder, storage);

    /// <inheritdoc/>
    public void Dispose() => _loaded.Dispose();
}
