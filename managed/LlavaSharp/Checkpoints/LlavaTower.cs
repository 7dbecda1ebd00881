using LlavaSharp.Imaging;

namespace LlavaSharp.Checkpoints;

/// <summary>The vision tower that an original LLaVA folder names by <c>mm_vision_tower</c>: a folder somewhere, or one of the
/// published CLIP models, whose shape is known without its files.</summary>
/// <param name="Config">Its shape.</param>
/// <param name="Folder">Where its files are; null when only its name is known.</param>
internal sealed record LlavaTower(VisionConfig Config, string? Folder)
{
    /// <summary>The towers that LLaVA's published checkpoints name.</summary>
    private static readonly (string Name, VisionConfig Config)[] Published =
    [
        ("openai/clip-vit-large-patch14-336", VisionConfig.ClipLarge336),
        ("openai/clip-vit-large-patch14", VisionConfig.ClipLarge336 with { ImageSize = 224 }),
    ];

    /// <summary>Finds the tower: the folder given, else one that the name leads to (from the checkpoint, from the current
    /// folder, or beside the checkpoint), else a published one.</summary>
    /// <exception cref="UserErrorException">There is no such folder, and the name is not known.</exception>
    internal static LlavaTower Find(string checkpoint, string name, string? given)
    {
        if (given is not null)
        {
            return new(VisionConfig.Load(given), given);
        }

        string last = Path.GetFileName(Path.TrimEndingDirectorySeparator(name));
        string parent = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(checkpoint))) ?? checkpoint;
        string[] candidates = [Path.Combine(checkpoint, name), name, Path.Combine(checkpoint, last), Path.Combine(parent, last)];
        foreach (string candidate in candidates)
        {
            if (last.Length > 0 && File.Exists(Path.Combine(candidate, "config.json")))
            {
                return new(VisionConfig.Load(candidate), candidate);
            }
        }

        return Published.FirstOrDefault(p => p.Name == name).Config is { } config
            ? new(config, null)
            : throw new UserErrorException($"'{Path.Combine(checkpoint, "config.json")}': mm_vision_tower = "
                + $"{SafetensorsHeader.Quote(name)} is not a folder on this machine; name the CLIP folder with --vision_tower");
    }

    /// <summary>The tower outside of the language model's folder, if there is one: what a LLaVA config names, or the CLIP folder
    /// beside a language model.</summary>
    /// <exception cref="UserErrorException">As <see cref="Find"/>.</exception>
    internal static LlavaTower? Of(ModelParts parts)
    {
        string folder = parts.ConfigFolder ?? parts.LanguageFolder;
        return LlavaConfig.LayoutOf(folder) switch
        {
            FolderLayout.Llava => LlavaConfigReader.Tower(folder, parts.ClipFolder),
            FolderLayout.LanguageModel when parts.ClipFolder is { } clip => new(VisionConfig.Load(clip), clip),
            _ => null,
        };
    }

    /// <summary>The published name of a tower of that shape; null when there is none.</summary>
    internal static string? PublishedName(VisionConfig config) => Published.FirstOrDefault(p => p.Config == config).Name;

    /// <summary>How its pictures are prepared: the tower's own file, else the checkpoint's, else, for a published tower, CLIP's
    /// processing.</summary>
    /// <exception cref="UserErrorException">The file is malformed.</exception>
    internal ImageProcessorConfig Processor(string checkpoint)
    {
        foreach (string? folder in (string?[])[Folder, checkpoint])
        {
            if (folder is not null && ImageProcessorConfig.Find(folder) is { } processor)
            {
                return processor;
            }
        }

        return Folder is null ? ImageProcessorConfig.Clip(Config.ImageSize) : ImageProcessorConfig.Load(Folder);
    }
}
