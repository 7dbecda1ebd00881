using System.Text.Json;

namespace LlavaSharp.Tokenization;

/// <summary>Reads tokenizer files that are JSON. What does not fit is named with file and field.</summary>
internal static class JsonText
{
    private const long MaxBytes = 64 << 20;

    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 32, AllowDuplicateProperties = false };

    /// <summary>Reads a file whose root is an object; null when it is absent.</summary>
    /// <exception cref="UserErrorException">The file cannot be read or is no JSON object.</exception>
    public static JsonDocument? ReadObject(string path) => File.Exists(path) ? ParseObject(TokenizerFile.Read(path, MaxBytes), path) : null;

    /// <summary>Parses a file whose root is an object. A byte-order mark is passed over.</summary>
    /// <exception cref="UserErrorException">It is no JSON object.</exception>
    public static JsonDocument ParseObject(byte[] bytes, string path)
    {
        try
        {
            var document = JsonDocument.Parse(bytes.AsSpan().StartsWith("\ufeff"u8) ? bytes.AsMemory(3) : bytes, Strict);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                return document;
            }

            document.Dispose();
        }
        catch (JsonException e)
        {
            throw new UserErrorException(
                $"{path}: line {(e.LineNumber ?? 0) + 1}, byte {(e.BytePositionInLine ?? 0) + 1}: not valid JSON: {FirstLine(e.Message)}", e);
        }
        catch (InvalidOperationException e)
        {
            throw new UserErrorException($"{path}: not valid JSON: it holds text that is not UTF-8", e);
        }

        throw new UserErrorException($"{path}: not a JSON object");
    }

    /// <summary>A string's text; null for another kind, and for text with half a surrogate pair.</summary>
    public static string? Of(JsonElement value)
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

    /// <summary>A field that is true or false; null when it is absent or null.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public static bool? Flag(JsonElement root, string name, string path) =>
        !root.TryGetProperty(name, out var value) ? null : value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind.Null => null,
            _ => throw new UserErrorException($"{path}: {name} is {FirstLine(value.GetRawText())}, not true or false"),
        };

    /// <summary>The first line of a text, cut where it is long: messages are one line.</summary>
    public static string FirstLine(string text)
    {
        var line = text.AsSpan()[..(text.AsSpan().IndexOfAny('\r', '\n') is var end and >= 0 ? end : text.Length)];
        return line.Length > 120 ? string.Concat(line[..120], "…") : line.ToString();
    }
}
