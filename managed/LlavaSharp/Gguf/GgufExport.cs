using LlavaSharp.Checkpoints;
using LlavaSharp.Templates;

namespace LlavaSharp.Gguf;

/// <summary>Writes the pair of files that llama.cpp runs: the language model, and tower and projector.</summary>
public static class GgufExport
{
    /// <summary>Writes <c>model-TYPE.gguf</c> and <c>mmproj-TYPE.gguf</c> into a folder. The tower's matrices are F32 or F16: its
    /// numbers matter more than its size.</summary>
    /// <param name="folder">The folder; made where it is not there.</param>
    /// <param name="export">The model; its precision is not used.</param>
    /// <param name="type">Encoding of the language model's matrices.</param>
    /// <param name="name">What programs call the model.</param>
    /// <param name="template">The conversation format that it was trained with; null leaves it out.</param>
    /// <param name="note">Receives a line for each thing that the files cannot say; null drops them.</param>
    /// <returns>The two paths, the language model's first.</returns>
    /// <exception cref="UserErrorException">llama.cpp does not compute such a model, a parameter is missing, or the folder cannot be
    /// written.</exception>
    public static (string Model, string Projector) Write(
        string folder, ModelExport export, GgufType type, string name, ConversationTemplate? template = null, Action<string>? note = null)
    {
        GgufVisionTower.Check(export.Config);
        ModelLoader.CheckVocabulary(export.Config, export.Tokenizer);
        if (export.Tokenizer.IsByteLevel)
        {
            throw new UserErrorException("GGUF is written for SentencePiece tokenizers (tokenizer.model), and this model's is a byte-level "
                + "BPE (tokenizer.json)");
        }

        (string model, string projector) = Files(folder, type);
        WritePair(folder, temporary =>
        {
            (string newModel, string newProjector) = Files(temporary, type);
            GgufVisionTower.Write(newProjector, export, TowerType(type), name);
            GgufLanguageModel.Write(newModel, export, type, name, template);
            return [(newProjector, projector), (newModel, model)];
        });
        foreach (string line in Notes(export, template, Path.GetFileName(model)))
        {
            note?.Invoke(line);
        }

        return (model, projector);
    }

    /// <summary>The two files that <see cref="Write"/> writes.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="type">Encoding of the language model's matrices.</param>
    /// <returns>The language model's path, and the projector's.</returns>
    public static (string Model, string Projector) Files(string folder, GgufType type) => (
        Path.Combine(folder, $"model-{GgufTypes.NameOf(type)}.gguf"), Path.Combine(folder, $"mmproj-{GgufTypes.NameOf(TowerType(type))}.gguf"));

    private static GgufType TowerType(GgufType type) => type == GgufType.F32 ? type : GgufType.F16;

    // One without the other is no model: both are complete before either is in its place.
    private static void WritePair(string folder, Func<string, IEnumerable<(string From, string To)>> write)
    {
        string temporary = Temporaries.Begin(Path.Combine(RealPath.Of(folder), "gguf"));
        bool isNew = !Directory.Exists(folder), isWritten = false;
        try
        {
            Temporaries.RemoveLeftovers(RealPath.Of(folder));
            Directory.CreateDirectory(temporary);
            IEnumerable<(string From, string To)> files = write(temporary);
            Temporaries.Commit(() =>
            {
                isWritten = true;
                foreach ((string from, string to) in files)
                {
                    File.Move(from, to, overwrite: true);
                }
            });
            AtomicFile.SyncFolder(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw AtomicFile.CannotWrite(folder, e);
        }
        finally
        {
            Temporaries.End(temporary);
            if (isNew && !isWritten && Directory.Exists(folder))
            {
                Directory.Delete(folder);
            }
        }
    }

    private static IEnumerable<string> Notes(ModelExport export, ConversationTemplate? template, string file)
    {
        if (template is not null && GgufChatTemplate.WhyNot(template) is { } reason)
        {
            yield return $"{file} has no chat template: {reason}";
        }
        else if (template?.Version.Contains("mmtag", StringComparison.Ordinal) == true)
        {
            yield return $"{file}: its chat template does not put pictures between <Image> and </Image>, as {template.Name} does";
        }

        if (export.Config.Text.WindowInUse is int window)
        {
            yield return $"{file}: its context_length is the sliding window, {window}: llama.cpp's llama attends to everything, which is "
                + "the same up to there";
        }
    }

    /// <summary>The encoding that a stored precision becomes unless asked otherwise: the same.</summary>
    public static GgufType TypeOf(TensorType stored) => stored switch
    {
        TensorType.F16 => GgufType.F16,
        TensorType.BF16 => GgufType.BF16,
        _ => GgufType.F32,
    };
}
