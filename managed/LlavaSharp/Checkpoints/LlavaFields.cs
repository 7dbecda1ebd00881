using System.Text.Json;
using System.Text.Json.Nodes;

using LlavaSharp.Templates;

namespace LlavaSharp.Checkpoints;

/// <summary>The fields that the original LLaVA code adds to a language model's config.json. Those that say how the model computes
/// are in <see cref="LlavaConfig"/>; the others say how it was trained and is prompted, and a conversion must not lose them. They stand
/// under the same names in either layout.</summary>
public sealed class LlavaFields
{
    /// <summary>The field that names the conversation template a model was trained with. It is ours: the original code guesses by the
    /// folder's name.</summary>
    public const string TemplateField = "conversation_template";

    /// <summary>The file of a training run that holds that field, too, in <c>resolved</c>.</summary>
    public const string RunFile = "train_config.json";

    private static readonly string[] Known =
    [
        TemplateField,
        "mm_vision_tower", "use_mm_proj", "mm_projector_type", "mm_hidden_size", "mm_vision_select_layer", "mm_vision_select_feature",
        "mm_patch_merge_type", "image_aspect_ratio", "image_grid_pinpoints", "image_crop_resolution", "image_split_resolution",
        "tokenizer_padding_side", "tokenizer_model_max_length", "tune_mm_mlp_adapter", "freeze_mm_mlp_adapter",
        "unfreeze_mm_vision_tower", "mm_use_im_start_end", "mm_use_im_patch_token", "mm_projector_lr", "mm_vision_tower_lr",
        "max_sequence_length",
    ];

    private readonly SortedDictionary<string, JsonNode?> _values = new(StringComparer.Ordinal);

    private LlavaFields()
    {
    }

    private LlavaFields(LlavaFields other)
    {
        TemplateFile = other.TemplateFile;
        foreach ((string key, JsonNode? value) in other._values)
        {
            _values[key] = value;
        }
    }

    /// <summary>No fields: a writer then takes the recipe's.</summary>
    public static LlavaFields None { get; } = new();

    /// <summary>The name of the conversation template that the model was trained with; null where no file says.</summary>
    public string? Template => Text(_values.GetValueOrDefault(TemplateField));

    /// <summary>The file that <see cref="Template"/> is from; null where it was set by <see cref="With"/>.</summary>
    public string? TemplateFile { get; private init; }

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

        return fields.WithTemplateOf(folder);
    }

    /// <summary>The same fields with the conversation template that the first of some folders to name one was trained with.</summary>
    /// <param name="folders">Folders of a model, of an adapter or of a run; null ones are left out.</param>
    public LlavaFields WithTemplateOf(params ReadOnlySpan<string?> folders)
    {
        foreach (string? folder in folders)
        {
            foreach (string file in folder is null ? [] : (string[])["config.json", RunFile])
            {
                if (ReadTemplate(Path.Combine(folder!, file)) is { } name)
                {
                    return new(With(TemplateField, name)) { TemplateFile = Path.Combine(folder!, file) };
                }
            }
        }

        return this;
    }

    /// <summary>The same fields and one more, or another value of one.</summary>
    /// <param name="name">As in config.json.</param>
    /// <param name="value">Its value; null is written as JSON's null.</param>
    public LlavaFields With(string name, JsonNode? value)
    {
        var fields = new LlavaFields(this) { TemplateFile = name == TemplateField ? null : TemplateFile };
        fields._values[name] = value;
        return fields;
    }

    // A run's file is nobody's config: one that cannot be read says nothing.
    private static string? ReadTemplate(string path)
    {
        try
        {
            if (!File.Exists(path) || JsonNode.Parse(File.ReadAllBytes(path)) is not JsonObject json)
            {
                return null;
            }

            if (Text(json[TemplateField]) is { } stated)
            {
                return stated;
            }

            // Before Intel's names had a prefix, its flag told them from LLaVA's.
            string? name = Text((json["resolved"] as JsonObject)?[TemplateField]);
            bool intels = Text((json["flags"] as JsonObject)?["template"]) is not null;
            return name is not null && intels && !name.StartsWith(ConversationTemplates.ItrexPrefix, StringComparison.Ordinal)
                ? ConversationTemplates.ItrexPrefix + name : name;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or ArgumentException
            or InvalidOperationException)
        {
            return null;
        }
    }

    private static string? Text(JsonNode? node) =>
        node is JsonValue value && value.TryGetValue(out string? text) && text.Length > 0 ? text : null;

    /// <summary>Copies the fields into a config, over what it has of those names.</summary>
    internal void CopyTo(JsonObject json)
    {
        foreach ((string name, JsonNode? value) in _values)
        {
            json[name] = value?.DeepClone();
        }
    }
}
