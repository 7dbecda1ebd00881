using LlavaSharp.Checkpoints;
using LlavaSharp.Gguf;
using LlavaSharp.Lora;

namespace LlavaSharp.Cli.Commands;

/// <summary>Writes a model that lies in folders into another one: what <c>convert</c> and <c>merge-lora</c> share.</summary>
internal static class ModelFolders
{
    /// <summary>Writes a model in one of the layouts.</summary>
    /// <param name="model">From what.</param>
    /// <param name="target">Where to, and in which layout.</param>
    /// <param name="typeName">Precision; null means as stored.</param>
    /// <param name="shardBytes">Largest shard.</param>
    /// <param name="withTower">Whether LLaVA's layout holds the tower's weights.</param>
    /// <param name="template">Name of the conversation format that the result states; null for the one it was trained with.</param>
    /// <param name="note">Receives lines about the result: which template it states, what its layout cannot say.</param>
    /// <returns>What was written, for a line of output.</returns>
    public static string Write(
        AdaptedModel model, ModelTarget target, string? typeName, long shardBytes, bool withTower, string? template, Action<string> note)
    {
        var (folder, layout) = (target.Folder, target.Layout);
        foreach (var place in model.Base.Places)
        {
            target.CheckSource("the model's part", place);
        }

        var choice = TemplateChoice.Make(model.Fields, template);
        if (layout == "gguf" && choice.Note is { } line)
        {
            note(line);
        }

        if (model.Config.Vision is null)
        {
            throw new UserErrorException("the model has no vision tower; name a CLIP folder with --vision_tower");
        }

        var stored = ExportTypes.StoredType(model.Base);
        var export = new ModelExport
        {
            Config = model.Config,
            Parameters = model.Parameters,
            Tokenizer = model.Base.LoadTokenizer(),
            Processor = model.Base.LoadProcessor(),
            Fields = template is null ? model.Fields : model.Fields.With(LlavaFields.TemplateField, choice.Template.FullName),
            Type = layout == "gguf" || typeName is null ? stored : ExportTypes.ParseType(typeName),
            ShardBytesMax = shardBytes,
            ModelMaxLength = model.Fields.ModelMaxLength ?? 2048,
        };
        switch (layout)
        {
            case "gguf":
                var type = typeName is null ? GgufExport.TypeOf(stored) : GgufTypes.Parse(typeName);
                var files = GgufExport.Files(folder, type);
                target.CheckFiles(files.Model, files.Projector);
                var (language, projector) = GgufExport.Write(
                    folder, export, type, Path.GetFileName(Full(folder)), choice.Template, note);
                return $"{Path.GetFullPath(language)}, {Path.GetFullPath(projector)}";
            case "llava":
                LlavaLayoutWriter.Write(folder, export, withTower);
                break;
            default:
                HuggingFaceLlavaWriter.Write(folder, export);
                break;
        }

        return $"{layout} layout in {export.Type.ConfigName()}: {Path.GetFullPath(folder)}";
    }

    /// <summary>Refuses a layout or a precision that there is not.</summary>
    /// <param name="layout">The layout's name.</param>
    /// <param name="typeName">The precision's; null is none.</param>
    /// <exception cref="UserErrorException">There is no such thing.</exception>
    public static void CheckNames(string layout, string? typeName)
    {
        if (layout is not ("hf" or "llava" or "gguf"))
        {
            throw new UserErrorException($"--layout {layout} is not known: use hf, llava or gguf");
        }

        if (typeName is not null && layout == "gguf")
        {
            GgufTypes.Parse(typeName);
        }
        else if (typeName is not null)
        {
            ExportTypes.ParseType(typeName);
        }
    }

    private static string Full(string path) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
}
