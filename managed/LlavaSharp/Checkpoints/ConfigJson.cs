using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlavaSharp.Checkpoints;

/// <summary>One JSON object of a configuration file. Reads typed fields, and names file, field and value when one
/// does not fit.</summary>
internal sealed class ConfigJson
{
    /// <summary>How every JSON file that we write is laid out.</summary>
    internal static readonly JsonSerializerOptions WriteOptions = new()
    {
        WriteIndented = true,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private const long ByteCountMax = 64 << 20;
    private readonly JsonElement _element;
    private readonly string _prefix;

    private ConfigJson(string path, JsonElement element, string prefix) =>
        (Path, _element, _prefix) = (path, element, prefix);

    internal string Path { get; }

    /// <summary>An empty object: every field takes its default.</summary>
    internal static ConfigJson Empty(string path, string prefix) =>
        new(path, JsonDocument.Parse("{}").RootElement, prefix);

    /// <summary>Reads a file whose root is an object.</summary>
    /// <exception cref="UserErrorException">The file is missing, too large, malformed or not an object.</exception>
    internal static ConfigJson Load(string path)
    {
        byte[] bytes;
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            if (file.Length > ByteCountMax)
            {
                throw new UserErrorException($"'{path}' has {file.Length} bytes; at most {ByteCountMax} are read");
            }

            bytes = new byte[file.Length];
            file.ReadExactly(bytes);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new UserErrorException(FileLinks.Missing(path), e);
        }
        catch (Exception e) when (e is UnauthorizedAccessException && Directory.Exists(path))
        {
            throw new UserErrorException($"cannot read '{path}': it is a folder", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new UserErrorException($"cannot read '{path}': {SafetensorsHeader.OneLine(e.Message)}", e);
        }

        if (bytes.Length == 0)
        {
            throw new UserErrorException($"'{path}' is empty; copy or download it again");
        }

        if (FileKinds.Recognise(bytes.AsSpan(0, Math.Min(bytes.Length, FileKinds.HeadBytes))) is { } kind)
        {
            throw new UserErrorException($"'{path}' {kind}");
        }

        try
        {
            ReadOnlyMemory<byte> text = bytes.AsSpan().StartsWith("\ufeff"u8) ? bytes.AsMemory(3) : bytes;
            var options = new JsonDocumentOptions { MaxDepth = 64, AllowDuplicateProperties = false };
            JsonElement root = JsonDocument.Parse(text, options).RootElement;
            CheckNames(root);
            return root.ValueKind == JsonValueKind.Object
                ? new ConfigJson(path, root, "")
                : throw new UserErrorException($"'{path}' is not a JSON object");
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"'{path}' is not valid JSON: {SafetensorsHeader.OneLine(e.Message)}", e);
        }
        catch (InvalidOperationException e)
        {
            throw new UserErrorException($"'{path}' is not valid JSON: it holds text that is not UTF-8", e);
        }
    }

    /// <summary>Names are decoded only when they are asked for; one that is not UTF-8 fails here instead.</summary>
    /// <exception cref="InvalidOperationException">There is such a name.</exception>
    private static void CheckNames(JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty property in element.EnumerateObject())
            {
                _ = property.Name.Length;
                CheckNames(property.Value);
            }
        }
        else if (element.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement item in element.EnumerateArray())
            {
                CheckNames(item);
            }
        }
    }

    /// <summary>Whether the field is there and not null.</summary>
    internal bool Has(string field) => TryField(field, out _);

    /// <summary>The names of the object's fields.</summary>
    internal IEnumerable<string> Fields => _element.EnumerateObject().Select(p => p.Name);

    internal ConfigJson? Object(string field) => !TryField(field, out JsonElement value)
        ? null
        : value.ValueKind == JsonValueKind.Object
            ? new ConfigJson(Path, value, $"{_prefix}{field}.")
            : throw Wrong(field, "an object");

    internal int? Int(string field, int min = int.MinValue, int max = int.MaxValue)
    {
        if (!TryField(field, out JsonElement value))
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= min && number <= max
            ? number
            : throw Wrong(field, min == int.MinValue ? "a whole number"
                : max == int.MaxValue ? $"a whole number of at least {min}" : $"a whole number from {min} to {max}");
    }

    internal double? Double(string field) => !TryField(field, out JsonElement value)
        ? null
        : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && double.IsFinite(number)
            ? number
            : throw Wrong(field, "a number");

    /// <summary>A number above 0 that float32, which is computed in, holds as one.</summary>
    internal double? Positive(string field) => Double(field) switch
    {
        null => null,
        { } number when (float)number > 0 && float.IsFinite((float)number) => number,
        > 0 => throw Wrong(field, "within what float32 holds"),
        _ => throw Wrong(field, "above 0"),
    };

    internal string? String(string field) => !TryField(field, out JsonElement value)
        ? null
        : Text(value) ?? throw Wrong(field, "a string");

    internal bool? Bool(string field) => !TryField(field, out JsonElement value)
        ? null
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(field, "true or false");

    /// <summary>A field that is a whole number or a list of them (such as <c>eos_token_id</c>).</summary>
    internal int[]? Ints(string field)
    {
        if (!TryField(field, out JsonElement value))
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            return [Int(field)!.Value];
        }

        return [.. value.EnumerateArray().Select(item =>
            item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int number)
                ? number : throw Wrong(field, "a whole number or a list of them"))];
    }

    /// <summary>A field that is a list of strings; empty when it is absent.</summary>
    internal string[] Texts(string field) => !TryField(field, out JsonElement value)
        ? []
        : value.ValueKind == JsonValueKind.Array
            ? [.. value.EnumerateArray().Select(item => Text(item) ?? throw Wrong(field, "a list of strings"))]
            : throw Wrong(field, "a list of strings");

    /// <summary>A copy of a field as it stands; null when it is absent or null.</summary>
    /// <exception cref="UserErrorException">It holds a text with half a surrogate pair.</exception>
    internal JsonNode? Node(string field) => !TryField(field, out JsonElement value) ? null
        : IsText(value) ? JsonNode.Parse(value.GetRawText()) : throw Wrong(field, "valid Unicode");

    private static bool IsText(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => Text(value) is not null,
        JsonValueKind.Array => value.EnumerateArray().All(IsText),
        JsonValueKind.Object => value.EnumerateObject().All(property => IsText(property.Value)),
        _ => true,
    };

    internal bool IsArray(string field) => TryField(field, out JsonElement value) && value.ValueKind == JsonValueKind.Array;

    /// <summary>The fields, all of them strings.</summary>
    internal IEnumerable<KeyValuePair<string, string>> Strings()
    {
        foreach (JsonProperty property in _element.EnumerateObject())
        {
            yield return new(property.Name, Text(property.Value) ?? throw Wrong(property.Name, "a string"));
        }
    }

    /// <summary>The message for a value that is understood but not implemented.</summary>
    internal UserErrorException Unsupported(string field, string supported) => new(
        $"'{Path}': {_prefix}{field} = {Raw(field)} is not supported; {supported}");

    internal UserErrorException Wrong(string field, string wanted) => new(
        $"'{Path}': {_prefix}{field} = {Raw(field)} should be {wanted}");

    /// <summary>A string's text; null for another kind, and for text with half a surrogate pair.</summary>
    private static string? Text(JsonElement value)
    {
        try
        {
            return value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    private string Raw(string field)
    {
        if (!_element.TryGetProperty(field, out JsonElement value))
        {
            return "(absent)";
        }

        string text = SafetensorsHeader.OneLine(value.GetRawText());
        return text.Length > 120 ? string.Concat(text.AsSpan(0, 120), "…") : text;
    }

    private bool TryField(string field, out JsonElement value) =>
        _element.TryGetProperty(field, out value) && value.ValueKind != JsonValueKind.Null;
}
