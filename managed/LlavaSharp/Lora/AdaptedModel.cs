using LlavaSharp.Checkpoints;

namespace LlavaSharp.Lora;

/// <summary>A model in folders with, or without, an adapter over it. Where the base is a plain language model, the adapter's
/// config.json says what the LLaVA model is, as the original loader has it.</summary>
public sealed class AdaptedModel : IDisposable
{
    private readonly AdapterReader? _adapter;

    private AdaptedModel(ModelSource source, AdapterReader? adapter, LlavaFields fields, bool unmerge)
    {
        (Base, _adapter, Fields) = (source, adapter, fields);
        Parameters = adapter is null ? source : new MergedSource(source, source.Config, adapter, unmerge);
    }

    /// <summary>A model of which something has been trained since.</summary>
    /// <param name="source">Its files; owned from here on.</param>
    /// <param name="trained">Its parameters as they are now; borrowed.</param>
    /// <param name="run">The folder of the training, whose template is the model's.</param>
    public AdaptedModel(ModelSource source, IParameterSource trained, string run)
    {
        (Base, Fields, Parameters) = (source, source.ReadFields().WithTemplateOf(run), trained);
    }

    /// <summary>The base's files.</summary>
    public ModelSource Base { get; }

    /// <summary>The model's shape.</summary>
    public LlavaConfig Config => Base.Config;

    /// <summary>Its parameters, merged as they are asked for.</summary>
    public IParameterSource Parameters { get; }

    /// <summary>The recipe's fields: the adapter's, where it has them.</summary>
    public LlavaFields Fields { get; }

    /// <summary>Opens the folders.</summary>
    /// <param name="baseFolder">A LLaVA folder of either layout, or a language model's.</param>
    /// <param name="adapterFolder">The adapter; null for none.</param>
    /// <param name="clipFolder">The vision tower, where no config leads to one on this machine.</param>
    /// <param name="unmerge">Whether the model has the adapter in it, and it is to be taken out.</param>
    /// <exception cref="UserErrorException">A file is missing, damaged or not supported, or the adapter belongs to another
    /// model.</exception>
    public static AdaptedModel Open(string baseFolder, string? adapterFolder = null, string? clipFolder = null, bool unmerge = false)
    {
        bool described = adapterFolder is not null && File.Exists(Path.Combine(adapterFolder, "config.json"))
            && LlavaConfig.LayoutOf(adapterFolder) == FolderLayout.Llava;
        if (described && !LlavaConfig.IsLlavaFolder(baseFolder))
        {
            // A base of another architecture is the mistake to name, before what the adapter's config asks for.
            TextConfig.Load(baseFolder);
        }

        LlavaFields? fields = described ? LlavaFields.Read(adapterFolder!) : null;
        return Open(new ModelParts
        {
            LanguageFolder = baseFolder,
            ConfigFolder = described && !LlavaConfig.IsLlavaFolder(baseFolder) ? adapterFolder : null,
            ClipFolder = clipFolder,

            // Tokens that the base lacks: their rows are among what the adapter replaces.
            ImageStartEnd = fields?.IsSet("mm_use_im_start_end") == true ? true : null,
            ImagePatchToken = fields?.IsSet("mm_use_im_patch_token") == true ? true : null,
        }, adapterFolder, fields, unmerge);
    }

    /// <summary>Opens a model put together from folders, with an adapter over it.</summary>
    /// <param name="parts">The folders.</param>
    /// <param name="adapterFolder">The adapter; null for none.</param>
    /// <param name="fields">The recipe's fields; null means those of the base's config.</param>
    /// <param name="unmerge">As the other overload's.</param>
    /// <exception cref="UserErrorException">As the other overload.</exception>
    public static AdaptedModel Open(ModelParts parts, string? adapterFolder, LlavaFields? fields = null, bool unmerge = false)
    {
        ModelSource? source = ModelSource.Open(parts);
        AdapterReader? adapter = null;
        try
        {
            adapter = adapterFolder is null ? null : AdapterReader.Open(adapterFolder);
            var opened = new AdaptedModel(
                source, adapter, (fields ?? source.ReadFields()).WithTemplateOf(adapterFolder, parts.LanguageFolder), unmerge);
            (source, adapter) = (null, null);
            return opened;
        }
        finally
        {
            adapter?.Dispose();
            source?.Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _adapter?.Dispose();
        Base.Dispose();
    }
}
