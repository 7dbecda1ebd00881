using LlavaSharp.Imaging;
using LlavaSharp.Templates;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>Shape of a whole LLaVA model: vision tower, projector, decoder, and how they are joined. Read from a
/// LLaVA folder of either layout, or put together from a language model's folder and a CLIP folder as the recipe's
/// first stage does.</summary>
public sealed record LlavaConfig
{
    /// <summary>The vision tower; null for a text-only model, which has no projector either.</summary>
    public required VisionConfig? Vision { get; init; }

    /// <summary>The decoder.</summary>
    public required TextConfig Text { get; init; }

    /// <summary>How image features become decoder inputs.</summary>
    public ProjectorType Projector { get; init; } = ProjectorType.Mlp2;

    /// <summary>Which hidden state of the tower is used: 0 is the embedding, k the output of layer k; negative
    /// counts from the end (-1 the last layer's output, before the post-LayerNorm).</summary>
    public int FeatureLayer { get; init; } = -2;

    /// <summary>Whether the class token's row is kept (<c>full</c>, <c>cls_patch</c>) or dropped (<c>default</c>,
    /// <c>patch</c>).</summary>
    public bool KeepClassToken { get; init; }

    /// <summary>Id of <c>&lt;image&gt;</c> in the vocabulary; null when the vocabulary lacks it.</summary>
    public int? ImageTokenIndex { get; init; }

    /// <summary>Id of the padding token, if there is one.</summary>
    public int? PadTokenId { get; init; }

    /// <summary>How pictures are made square: <c>square</c> (centre crop) or <c>pad</c>; or <c>anyres</c>: cut into tiles.</summary>
    public string ImageAspectRatio { get; init; } = "square";

    /// <summary>Canvas sizes of anyres, in pixels, width first.</summary>
    public IReadOnlyList<(int Width, int Height)> GridPinpoints { get; init; } = [];

    /// <summary>How the tiles of anyres are laid out.</summary>
    public PatchMerge PatchMerge { get; init; }

    /// <summary>Whether images stand between <c>&lt;im_start&gt;</c> and <c>&lt;im_end&gt;</c>: mm_use_im_start_end.</summary>
    public bool ImageStartEnd { get; init; }

    /// <summary>Whether the vocabulary has <c>&lt;im_patch&gt;</c>, which no prompt uses: mm_use_im_patch_token.</summary>
    public bool ImagePatchToken { get; init; }

    /// <summary>The tokens that those two add behind the tokenizer's own, in the original's order.</summary>
    public IEnumerable<string> ImageTokens =>
        (ImagePatchToken ? ["<im_patch>"] : Enumerable.Empty<string>()).Concat(ImageStartEnd ? [PromptText.ImageStart, PromptText.ImageEnd] : []);

    /// <summary>Whether pictures are cut into tiles.</summary>
    public bool IsAnyResolution => Vision is not null && ImageAspectRatio == "anyres";

    /// <summary>Whether the model has a learned row <c>image_newline</c>.</summary>
    public bool HasNewline => IsAnyResolution && PatchMerge == PatchMerge.SpatialUnpad;

    /// <summary>Rows that one image gives the decoder: its patches, and the class token where it is kept.</summary>
    public int ImageRowCount => Vision is null ? 0 : Vision.PatchCount + (KeepClassToken ? 1 : 0);

    /// <summary><see cref="FeatureLayer"/> counted from 0.</summary>
    public int ResolvedFeatureLayer => FeatureLayer >= 0 || Vision is null ? FeatureLayer : Vision.LayerCount + 1 + FeatureLayer;

    /// <summary>How the model's pictures become its tokens.</summary>
    /// <param name="processor">The tower's sizes, mean and deviation.</param>
    public ImagePlan PlanImages(ImageProcessorConfig processor) => new()
    {
        Processor = new ImageProcessor(processor),
        TileRows = ImageRowCount,
        Mode = ImageAspectRatio == "pad" ? Imaging.ImageAspectRatio.Pad : Imaging.ImageAspectRatio.Square,
        Canvases = IsAnyResolution ? GridPinpoints : [],
        Merge = PatchMerge,
    };

    /// <summary>The same config with what parts say of tokens around images, and a vocabulary that has them.</summary>
    /// <exception cref="UserErrorException">The tokenizer is missing or damaged.</exception>
    internal LlavaConfig WithTokens(ModelParts parts)
    {
        LlavaConfig config = this with
        {
            ImageStartEnd = parts.ImageStartEnd ?? ImageStartEnd,
            ImagePatchToken = parts.ImagePatchToken ?? ImagePatchToken,
        };
        if (parts is not ({ ImageStartEnd: true } or { ImagePatchToken: true }))
        {
            return config;
        }

        int rows = LlavaTokenizer.Load(parts.LanguageFolder).WithTokens(config.ImageTokens).IdCount;
        return config with { Text = Text with { VocabularySize = Math.Max(Text.VocabularySize, rows) } };
    }

    /// <summary>The same config with what parts say of tiles.</summary>
    internal LlavaConfig WithTiles(ModelParts parts)
    {
        LlavaConfig config = this with
        {
            GridPinpoints = parts.GridPinpoints ?? GridPinpoints,
            PatchMerge = parts.PatchMerge ?? PatchMerge,
        };
        config.CheckAnyResolution();
        return config;
    }

    /// <summary>Refuses canvases that the tower cannot tile, and a class token among tiles.</summary>
    /// <exception cref="UserErrorException">As said.</exception>
    public void CheckAnyResolution()
    {
        if (!IsAnyResolution)
        {
            return;
        }

        if (GridPinpoints.Count == 0)
        {
            throw Imaging.GridPinpoints.Missing();
        }

        if (KeepClassToken)
        {
            throw new UserErrorException("anyres lays out patches, and the class token is none: use --mm_vision_select_feature patch");
        }

        _ = new AnyResolution((1, 1), GridPinpoints, Vision!.ImageSize);
    }

    /// <summary>Id of <c>&lt;s&gt;</c>.</summary>
    public int BosId => Text.BosId;

    /// <summary>Id of <c>&lt;/s&gt;</c>.</summary>
    public int EosId => Text.EosIds[0];

    /// <summary>How a folder is laid out, by its config.json.</summary>
    /// <exception cref="UserErrorException">Its config.json is missing or malformed.</exception>
    public static FolderLayout LayoutOf(string folder) => LlavaConfigReader.LayoutOf(folder);

    /// <summary>Whether a folder holds a LLaVA model, of either layout (rather than a language model alone).</summary>
    /// <exception cref="UserErrorException">Its config.json is missing or malformed.</exception>
    public static bool IsLlavaFolder(string folder) => LayoutOf(folder) != FolderLayout.LanguageModel;

    /// <summary>Reads a LLaVA folder: Hugging Face's layout, of transformers 4 or 5, or the original code's.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="clipFolder">The tower's folder, where an original config names one that is not on this machine.</param>
    /// <exception cref="UserErrorException">The file is missing or malformed, or asks for what is not implemented.</exception>
    public static LlavaConfig Load(string folder, string? clipFolder = null) => LlavaConfigReader.Load(folder, clipFolder);

    /// <summary>Puts a model together from two folders.</summary>
    /// <param name="languageFolder">A LLaMA or Mistral folder.</param>
    /// <param name="clipFolder">A CLIP folder; null for a text-only model.</param>
    /// <param name="projector">Null means <see cref="ProjectorType.Mlp2"/>.</param>
    /// <param name="featureLayer">The recipe's mm_vision_select_layer.</param>
    /// <param name="keepClassToken">The recipe's mm_vision_select_feature cls_patch.</param>
    /// <param name="imageAspectRatio"><c>square</c> or <c>pad</c>.</param>
    /// <exception cref="UserErrorException">A file is missing or malformed, or asks for what is not implemented.</exception>
    public static LlavaConfig Combine(
        string languageFolder,
        string? clipFolder,
        ProjectorType? projector = null,
        int featureLayer = -2,
        bool keepClassToken = false,
        string imageAspectRatio = "square")
    {
        VisionConfig? vision = clipFolder is null ? null : VisionConfig.Load(clipFolder);
        TextConfig text = TextConfig.Load(languageFolder);
        if (vision is not null)
        {
            LlavaConfigReader.CheckFeatureLayer("mm_vision_select_layer", featureLayer, vision.LayerCount);
        }

        if (projector?.Depth == 0 && vision is not null && vision.HiddenSize != text.HiddenSize)
        {
            throw new UserErrorException($"an identity projector needs equal widths: the tower has {vision.HiddenSize}, "
                + $"the language model {text.HiddenSize}; use mlp2x_gelu");
        }

        return new()
        {
            Vision = vision,
            Text = text,
            Projector = projector ?? ProjectorType.Mlp2,
            FeatureLayer = featureLayer,
            KeepClassToken = keepClassToken,
            PadTokenId = text.PadId,
            ImageAspectRatio = imageAspectRatio,
        };
    }

    /// <summary>Refuses a context in which a sliding window would matter: attention here is over the whole sample.</summary>
    /// <param name="tokens">The longest sequence used, image rows included: in training the recipe's model_max_length, in generation
    /// the prompt and the longest answer.</param>
    /// <param name="remedy">What to do where the window is shorter than that, from its length; null names the flag of training.</param>
    /// <exception cref="UserErrorException">The checkpoint's sliding window is shorter.</exception>
    public void CheckContext(int tokens, Func<int, string>? remedy = null)
    {
        if (Text.WindowInUse is int window && window < tokens)
        {
            throw new UserErrorException($"sliding_window = {window} is not supported for {(remedy is null ? "samples" : "sequences")} of up "
                + $"to {tokens} tokens; {remedy?.Invoke(window) ?? $"use --model_max_length {window} or less"}");
        }
    }
}
