using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Templates;

namespace LlavaSharp.Generation;

/// <summary>A model ready to be asked: engine, weights, tokenizer, template and image processor in one.</summary>
public sealed class ChatModel : IDisposable
{
    private readonly Engine _engine;
    private readonly OpenedModel? _loaded;
    private readonly TextGenerator? _generator;

    /// <summary>Opens a Hugging Face LLaVA folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="template">Name of the conversation format.</param>
    /// <exception cref="UserErrorException">The folder or the name is not known or not usable.</exception>
    public ChatModel(string folder, string template = "v1")
    {
        var format = ConversationTemplates.Get(template);
        _engine = new Engine();
        try
        {
            _loaded = OpenedModel.Open(_engine, folder);
            _generator = new TextGenerator(_loaded.Model, _loaded.Tokenizer, format, _loaded.Config.Text.EosIds);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Asks, and hands over the answer as it comes.</summary>
    /// <param name="prompt">The question.</param>
    /// <param name="image">An image file; null for text alone.</param>
    /// <param name="options">How the answer is drawn.</param>
    /// <param name="onText">Receives each new piece of text.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <returns>The whole answer.</returns>
    /// <exception cref="UserErrorException">The image cannot be read.</exception>
    public string Stream(
        string prompt, string? image, GenerationOptions options, Action<string> onText, CancellationToken cancellation = default)
    {
        var pixels = image is null ? null : _loaded!.Processor.Process(ImageDecoder.Load(image), _loaded.ImageMode);
        return _generator!.Stream(Question.Ask(prompt, pixels), options, onText, cancellation);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _generator?.Dispose();
        _loaded?.Dispose();
        _engine.Dispose();
    }
}
