using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Templates;

namespace LlavaSharp.Generation;

/// <summary>A model ready to be asked: engine, weights, tokenizer, template and image processor in one.</summary>
public sealed class ChatModel : IDisposable
{
    private readonly Engine _engine;
    private readonly OpenedModel? _loaded;
    private readonly TextGenerator? _generator;

    /// <summary>Opens a LLaVA folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="template">Name of the conversation format; null for the one that the model was trained with, or, where no file of
    /// the folder says, LLaVA's v1.</param>
    /// <param name="adapterFolder">A LoRA adapter to be merged in; the folder is then its base.</param>
    /// <param name="clipFolder">The vision tower, where config.json names one that is not on this machine.</param>
    /// <param name="storage">How its weights are stored; null is float32.</param>
    /// <param name="note">Receives a line about the template where the choice is worth one.</param>
    /// <exception cref="UserErrorException">The folder or the name is not known or not usable.</exception>
    public ChatModel(
        string folder,
        string? template = null,
        string? adapterFolder = null,
        string? clipFolder = null,
        WeightStorage? storage = null,
        Action<string>? note = null)
    {
        if (template is not null)
        {
            // A misspelt name is told before gigabytes are read.
            ConversationTemplates.Get(template);
        }

        _engine = new Engine();
        try
        {
            _loaded = OpenedModel.Open(_engine, folder, adapterFolder, clipFolder, storage);
            var choice = TemplateChoice.Make(_loaded.Fields, template);
            if (choice.Note is { } line)
            {
                note?.Invoke(line);
            }

            _generator = new TextGenerator(_loaded.Model, _loaded.Tokenizer, choice.Template, _loaded.Config.Text.EosIds,
                new PromptRules { ImageStartEnd = _loaded.Config.ImageStartEnd })
            { Config = _loaded.Config };
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
        string prompt, string? image, GenerationOptions options, Action<string> onText, CancellationToken cancellation = default) =>
        _generator!.Stream(Ask(prompt, image), options, onText, cancellation);

    /// <summary>Asks, and gives the answer with the ids behind it.</summary>
    /// <param name="prompt">The question.</param>
    /// <param name="image">An image file; null for text alone.</param>
    /// <param name="options">How the answer is drawn.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <returns>The answer.</returns>
    /// <exception cref="UserErrorException">The image cannot be read.</exception>
    public ChatAnswer Complete(
        string prompt, string? image, GenerationOptions options, CancellationToken cancellation = default) =>
        _generator!.Complete(Ask(prompt, image), options, cancellation);

    /// <inheritdoc/>
    public void Dispose()
    {
        _generator?.Dispose();
        _loaded?.Dispose();
        _engine.Dispose();
    }

    private Question Ask(string prompt, string? image) => Question.Ask(
        prompt, image is null ? null : _loaded!.Images.Load(image));
}
