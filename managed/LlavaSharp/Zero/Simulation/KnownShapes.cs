using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Lora;

namespace LlavaSharp.Zero.Simulation;

/// <summary>Shapes of the published models, for plans without a folder: LLaVA-1.5 on Vicuna with CLIP ViT-L/14 at 336 pixels.</summary>
public static class KnownShapes
{
    /// <summary>By name.</summary>
    public static IReadOnlyDictionary<string, LlavaConfig> All { get; } = new Dictionary<string, LlavaConfig>(StringComparer.Ordinal)
    {
        ["vicuna-7b"] = Llava(new()),
        ["vicuna-13b"] = Llava(new() { HiddenSize = 5120, IntermediateSize = 13824, LayerCount = 40, HeadCount = 40, KeyValueHeadCount = 40 }),
        ["mistral-7b"] = Llava(new() { ModelType = "mistral", IntermediateSize = 14336, KeyValueHeadCount = 8, MaxPositions = 32768 }),
    };

    /// <summary>Finds a shape.</summary>
    /// <param name="name">One of <see cref="All"/>.</param>
    /// <returns>The shape.</returns>
    /// <exception cref="UserErrorException">There is no such name.</exception>
    public static LlavaConfig Get(string name) => All.TryGetValue(name, out var config)
        ? config
        : throw new UserErrorException($"--shape {name}: there is {string.Join(", ", All.Keys)}; or name a folder with --model");

    /// <summary>A model's units, as one of the recipe's ways of training leaves them.</summary>
    /// <param name="config">Its shape.</param>
    /// <param name="train">full, lora, or projector (stage 1).</param>
    /// <param name="rank">Of the adapters.</param>
    /// <returns>The units.</returns>
    /// <exception cref="UserErrorException">There is no such way.</exception>
    public static IReadOnlyList<ZeroUnit> Units(LlavaConfig config, string train, int rank) => train switch
    {
        "full" => ZeroUnit.Of(config, UnitKinds.Projector | UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head),
        "lora" => ZeroUnit.Of(config, UnitKinds.Projector | UnitKinds.Lora, new AdapterOptions { Rank = rank, Alpha = 2 * rank }),
        "projector" => ZeroUnit.Of(config, UnitKinds.Projector),
        _ => throw new UserErrorException($"--train {train}: there is full, lora and projector"),
    };

    private static LlavaConfig Llava(TextConfig text) => new() { Vision = VisionConfig.ClipLarge336, Text = text };
}
