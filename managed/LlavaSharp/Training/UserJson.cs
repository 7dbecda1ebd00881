using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlavaSharp.Training;

/// <summary>
/// An object of a JSON file that a user wrote, with its values read by kind. A byte-order mark and comments are skipped; whatever does
/// not fit is an error of one line with file, key and value. Null stands for a key that is not there.
/// </summary>
internal sealed class UserJson
{
    private static readonly JsonDocumentOptions Lenient = new() { CommentHandling = JsonCommentHandling.Skip };

    private readonly string _where;
    private readonly string _prefix;
    private readonly JsonObject _json;

    private UserJson(string where, string prefix, JsonObject json) => (_where, _prefix, _json) = (where, prefix, json);

    /// <summary>The keys, in the file's order.</summary>
    public IEnumerable<string> Keys => _json.Select(p => p.Key);

    /// <summary>Whether a key is there, and not null.</summary>
    public bool Has(string key) => _json[key] is not null;

    /// <summary>The full name of a key, such as zero_optimization.stage.</summary>
    public string NameOf(string key) => _prefix + key;

    /// <summary>Reads a file.</summary>
    /// <param name="flag">The flag that names it, for errors.</param>
    /// <param name="path">The file.</param>
    /// <param name="what">What the object holds, for the error when the file holds none.</param>
    /// <returns>The file's object.</returns>
    /// <exception cref="UserErrorException">It cannot be read, is no JSON object, has a key twice or text that is not Unicode.</exception>
    public static UserJson Read(string flag, string path, string what = "")
    {
        var where = $"{flag} {path}: ";
        if (path.Length == 0)
        {
            throw new UserErrorException($"{flag} needs a value");
        }

        try
        {
            var bytes = File.ReadAllBytes(path);
            var text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes).TrimStart('\ufeff');
            using var document = JsonDocument.Parse(text, Lenient);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new UserErrorException($"{where}not a JSON object{what}");
            }

            if (Repeated(document.RootElement, "") is { } key)
            {
                throw new UserErrorException($"{where}{key} is given twice; keep one");
            }

            return new(where, "", JsonNode.Parse(document.RootElement.GetRawText(), documentOptions: Lenient)!.AsObject());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"{flag} {path} cannot be read: {e.Message}", e);
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{where}{e.Message}", e);
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)
        {
            throw new UserErrorException($"{where}holds text that is not Unicode; save the file as UTF-8", e);
        }
    }

    /// <summary>The error for a value.</summary>
    /// <param name="key">Its key.</param>
    /// <param name="expected">What it should be.</param>
    /// <returns>The exception to throw.</returns>
    public UserErrorException Wrong(string key, string expected) => Error($"{_prefix}{key} is {Shown(_json[key])}: expected {expected}");

    /// <summary>An error of one line that begins with flag and file.</summary>
    /// <param name="message">The rest.</param>
    /// <returns>The exception to throw.</returns>
    public UserErrorException Error(string message) => new(_where + message);

    /// <summary>Whether a value asks for something: any but false and "auto".</summary>
    public bool Asks(string key) => _json[key] is { } value && value.ToJsonString() is not ("false" or "\"auto\"");

    /// <summary>A section; null where there is none.</summary>
    /// <exception cref="UserErrorException">The value is no object.</exception>
    public UserJson? Section(string key, string example = "") => _json[key] switch
    {
        null => null,
        JsonObject inner => new(_where, $"{_prefix}{key}.", inner),
        _ => throw Wrong(key, $"an object{example}"),
    };

    /// <summary>The object under a key where there is one, else this one: a file may wrap its content, or not.</summary>
    public UserJson SectionOrSelf(string key) => _json[key] is JsonObject inner ? new(_where, $"{_prefix}{key}.", inner) : this;

    /// <summary>A text; null where there is none.</summary>
    /// <exception cref="UserErrorException">The value is no text.</exception>
    public string? Text(string key) => _json[key] switch
    {
        null => null,
        JsonValue value when value.TryGetValue(out string? text) => text,
        _ => throw Wrong(key, "text"),
    };

    /// <summary>True or false; null for "auto" and where there is none. The words as text count as well.</summary>
    /// <exception cref="UserErrorException">The value is neither.</exception>
    public bool? Boolean(string key) => _json[key] switch
    {
        null => null,
        JsonValue value when value.TryGetValue(out bool flag) => flag,
        JsonValue value when value.TryGetValue(out string? text) && bool.TryParse(text, out var flag) => flag,
        var value when IsAuto(value) => null,
        _ => throw Wrong(key, "true, false or \"auto\""),
    };

    /// <summary>A number; null for "auto" and where there is none. A number as text counts as well.</summary>
    /// <exception cref="UserErrorException">The value is no finite number.</exception>
    public double? Number(string key) => IsAuto(_json[key]) || _json[key] is null ? null : NumberOf(_json[key]) ?? throw Wrong(key, "a number, or \"auto\"");

    /// <summary>A whole number within bounds; null for "auto" and where there is none.</summary>
    /// <exception cref="UserErrorException">The value is no such number.</exception>
    public long? Whole(string key, long low, long high = long.MaxValue)
    {
        var value = _json[key];
        return value is null || IsAuto(value) ? null
            : NumberOf(value) is { } number && number == Math.Floor(number) && number >= low && number <= high ? (long)number
            : throw Wrong(key, string.Create(
                CultureInfo.InvariantCulture, $"a whole number from {low}{(high == long.MaxValue ? "" : $" to {high}")}, or \"auto\""));
    }

    /// <summary>Two numbers in a list; null for "auto" and where there is none.</summary>
    /// <exception cref="UserErrorException">The value is no such list.</exception>
    public (double First, double Second)? Pair(string key) => _json[key] switch
    {
        null => null,
        JsonArray { Count: 2 } pair when NumberOf(pair[0]) is { } first && NumberOf(pair[1]) is { } second => (first, second),
        var value when IsAuto(value) => null,
        _ => throw Wrong(key, "a list of two numbers, or \"auto\""),
    };

    /// <summary>A value as it would stand on the command line; null where there is none.</summary>
    /// <exception cref="UserErrorException">It is neither text, number nor boolean, or text that no argument can hold.</exception>
    public string? Argument(string key) => _json[key] is not { } value ? null : value.GetValueKind() switch
    {
        JsonValueKind.String when !value.GetValue<string>().Contains('\0', StringComparison.Ordinal) => value.GetValue<string>(),
        JsonValueKind.True => "True",
        JsonValueKind.False => "False",
        JsonValueKind.Number => NumberOf(value) is { } number && number == Math.Floor(number) && Math.Abs(number) < 1e15
            ? ((long)number).ToString(CultureInfo.InvariantCulture) : value.ToJsonString(),
        _ => throw Error($"{_prefix}{key} is {Shown(value)}; expected text, a number or a boolean"),
    };

    /// <summary>A value for a message, cut where it is long.</summary>
    /// <param name="key">Its key.</param>
    /// <returns>JSON, on one line.</returns>
    public string Shown(string key) => Shown(_json[key]);

    private static string Shown(JsonNode? value) =>
        value?.ToJsonString() is not { } text ? "null" : text.Length > 100 ? string.Concat(text.AsSpan(0, 100), "…") : text;

    private static bool IsAuto(JsonNode? value) => value is JsonValue text && text.TryGetValue(out string? word) && word == "auto";

    private static double? NumberOf(JsonNode? node) =>
        node is not JsonValue value ? null
        : value.TryGetValue(out double number) && double.IsFinite(number) ? number
        : value.TryGetValue(out string? text) && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out number)
            && double.IsFinite(number) ? number
        : null;

    // The first key that an object has twice, by its full name. Reads every text, so that one that is not Unicode is found here.
    private static string? Repeated(JsonElement element, string prefix)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                var names = new HashSet<string>(StringComparer.Ordinal);
                return element.EnumerateObject()
                    .Select(p => names.Add(p.Name) ? Repeated(p.Value, $"{prefix}{p.Name}.") : prefix + p.Name)
                    .FirstOrDefault(key => key is not null);
            case JsonValueKind.Array:
                return element.EnumerateArray().Select(item => Repeated(item, prefix)).FirstOrDefault(key => key is not null);
            case JsonValueKind.String:
                element.GetString();
                return null;
            default:
                return null;
        }
    }
}
