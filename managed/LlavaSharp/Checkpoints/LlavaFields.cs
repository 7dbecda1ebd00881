using System.Text.Json.Nodes;

namespace LlavaSharp.Checkpoints;

/// <summary>The fields that the original LLaVA code adds to a language model's config.json. Those that say how the model computes
/// are in <see cref="LlavaConfig"/>; the others say how it was trained and is prompted, and a conversion must not lose them. They stand
/// under the same names in either layout.</summary>
public sealed class LlavaFields
{
    private static readonly string[] Known =
    [
        "mm_vision_tower", "use_mm_proj", "mm_projector_type", "mm_hidden_size", "mm_vision_select_layer", "mm_vision_select_feature",
        "mm_patch_merge_type", "image_aspect_ratio", "image_grid_pinpoints", "image_crop_resolution", "image_split_resolution",
        "tokenizer_padding_side", "tokenizer_model_max_length", "tune_mm_mlp_adapter", "freeze_mm_mlp_adapter",
        "unfreeze_mm_vision_tower", "mm_use_im_start_end", "mm_use_im_patch_token", "mm_projector_lr", "mm_vision_tower_lr",
        "max_sequence_length",
    ];

    private readonly SortedDictionary<string, JsonNode?> _values = new(StringComparer.Ordinal);

    /// <summary>No fields: a writer then takes the recipe's.</summary>
    public static LlavaFields None { get; } = new();

    /// <summary>The <c>mm_vision_tower</c> that was read.</summary>
    public string? VisionTower => (string?)_values.GetValueOrDefault("mm_vision_tower");

    /// <summary>The <c>tokenizer_model_max_length</c> that was read.</summary>
    public int? ModelMaxLength => _values.GetValueOrDefault("tokenizer_model_max_length")?.AsValue() is { } value
        && value.TryGetValue(out int length) ? length : null;

    /// <summary>Whether a field is there and true.</summary>
    /// <param name="name">As in config.json.</param>
    public bool IsSet(string name) =>
        _values.GetValueOrDefault(name)?.AsValue() is { } value && value.TryGetValue(out bool set) && set;

    /// <summary>Reads a folder's config.json, of either layout.</summary>
    /// <exception cref="UserErrorException">The file is missing or malformed.</exception>
    public static LlavaFields Read(string folder)
    {
        var fields = new LlavaFields();
        ConfigJson json = ConfigJson.Load(Path.Combine(folder, "config.json"));
        json.String("mm_vision_tower");
        foreach (string name in Known.Where(json.Fields.Contains))
        {
            fields._values[name] = json.Node(name);
        }

        return fields;
    }

    /// <summary>The same fields and one more, or another value of one.</summary>
    /// <param name="name">As in config.json.</param>
    /// <param name="value">Its value; null is written as JSON's null.</param>
    public LlavaFields With(string name, JsonNode? value)
    {
        var fields = new LlavaFields();
        foreach ((string key, JsonNode? old) in _values)
        {
            fields._values[key] = old;
        }

        fields._values[name] = value;
        return fields;
    }

    /// <summary>Copies the fields into a config, over what it has of those names.</summary>
    internal void CopyTo(JsonObject json)
    {
        foreach ((string name, JsonNode? value) in _values)
        {
            json[name] = value?.DeepClone();
        }
    }
}
