using System.Text.Json;

namespace LlavaSharp.Tokenization;

/// <summary>Reads fields of a tokenizer.json, and names the file when one asks for what is not implemented.</summary>
internal sealed class TokenizerJsonFields(string name)
{
    /// <summary>What messages call the file.</summary>
    public string Name => name;

    /// <summary>Whether a field is there and not null.</summary>
    public static bool Has(JsonElement from, string field) =>
        from.TryGetProperty(field, out var value) && value.ValueKind != JsonValueKind.Null;

    /// <summary>Whether a field is there and true.</summary>
    public static bool True(JsonElement from, string field) => Has(from, field) && from.GetProperty(field).GetBoolean();

    /// <summary>A field's text; null when it is absent.</summary>
    public static string? Text(JsonElement from, string field) => Has(from, field) ? from.GetProperty(field).GetString() : null;

    /// <summary>The steps of a normalizer, pre_tokenizer or decoder: one, those of a Sequence (also one inside another), or none.</summary>
    /// <param name="root">What has the field.</param>
    /// <param name="field">Its name.</param>
    /// <param name="list">What a Sequence calls its steps.</param>
    public static IReadOnlyList<JsonElement> Steps(JsonElement root, string field, string list)
    {
        return Has(root, field) ? [.. Flatten(root.GetProperty(field))] : [];

        IEnumerable<JsonElement> Flatten(JsonElement step) => Text(step, "type") == "Sequence"
            ? step.GetProperty(list).EnumerateArray().SelectMany(Flatten) : [step];
    }

    /// <summary>Refuses the file unless a condition holds.</summary>
    /// <exception cref="UserErrorException">It does not.</exception>
    public void Require(bool condition, string problem)
    {
        if (!condition)
        {
            throw new UserErrorException($"{name}: this tokenizer {problem}");
        }
    }

    /// <summary>A field that must be there.</summary>
    /// <exception cref="UserErrorException">It is not.</exception>
    public JsonElement Object(JsonElement from, string field)
    {
        JsonElement value = default;
        Require(from.ValueKind == JsonValueKind.Object && from.TryGetProperty(field, out value), $"has no \"{field}\"");
        return value;
    }
}
