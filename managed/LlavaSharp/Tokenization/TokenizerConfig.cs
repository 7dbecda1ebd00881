using System.Text.Json;

namespace LlavaSharp.Tokenization;

/// <summary>
/// What Hugging Face keeps beside tokenizer.model: <c>tokenizer_config.json</c> and <c>added_tokens.json</c>.
/// An absent <c>legacy</c> means true, as in LlamaTokenizer.
/// </summary>
internal sealed record TokenizerConfig
{
    private const long MaxBytes = 16 << 20;

    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 32 };

    /// <summary>Whether text after a special piece begins anew.</summary>
    public bool Legacy { get; init; } = true;

    /// <summary>Whether a prompt begins with the begin mark.</summary>
    public bool AddBos { get; init; } = true;

    /// <summary>How the end mark is spelled, if the file says so.</summary>
    public string? Eos { get; init; }

    /// <summary>Tokens that the folder adds to the model.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; init; } = [];

    /// <summary>Reads both files from a folder; either may be absent.</summary>
    /// <exception cref="UserErrorException">A file is no JSON object, or asks for what is not implemented.</exception>
    public static TokenizerConfig Load(string folder)
    {
        var (legacy, addBos, eos) = (true, true, (string?)null);
        var added = new Dictionary<string, AddedToken>(StringComparer.Ordinal);
        var path = Path.Combine(folder, "added_tokens.json");
        if (ReadObject(path) is { } addedDocument)
        {
            using (addedDocument)
            {
                foreach (var token in addedDocument.RootElement.EnumerateObject())
                {
                    Add(added, path, token.Name, token.Value);
                }
            }
        }

        path = Path.Combine(folder, "tokenizer_config.json");
        if (ReadObject(path) is { } document)
        {
            using (document)
            {
                var root = document.RootElement;
                legacy = Flag(root, "legacy", path) ?? true;
                addBos = Flag(root, "add_bos_token", path) ?? true;
                if (Flag(root, "add_eos_token", path) == true)
                {
                    throw new UserErrorException(
                        $"{path}: add_eos_token is true, which would put an end mark after every piece of a prompt; set it to false");
                }

                eos = Text(root, "eos_token");
                ReadAddedTokensDecoder(root, path, added);
            }
        }

        return new TokenizerConfig { Legacy = legacy, AddBos = addBos, Eos = eos, AddedTokens = [.. added.Values] };
    }

    private static void ReadAddedTokensDecoder(JsonElement root, string path, Dictionary<string, AddedToken> added)
    {
        if (!root.TryGetProperty("added_tokens_decoder", out var decoder) || decoder.ValueKind != JsonValueKind.Object)
        {
            return;
        }

        foreach (var entry in decoder.EnumerateObject())
        {
            if (!int.TryParse(entry.Name, out var id) || id < 0 || entry.Value.ValueKind != JsonValueKind.Object
                || !entry.Value.TryGetProperty("content", out var content) || content.ValueKind != JsonValueKind.String
                || content.GetString()!.Length == 0)
            {
                throw new UserErrorException(
                    $"{path}: added_tokens_decoder has an entry \"{entry.Name}\" that is no id with a content");
            }

            added[content.GetString()!] = new AddedToken(
                content.GetString()!,
                id,
                Flag(entry.Value, "lstrip", path) ?? false,
                Flag(entry.Value, "rstrip", path) ?? false,
                Flag(entry.Value, "single_word", path) ?? false,
                Flag(entry.Value, "special", path) ?? false);
        }
    }

    /// <summary>A token's text: a string, or an object with a content.</summary>
    private static string? Text(JsonElement root, string name)
    {
        if (root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Object)
        {
            value = value.TryGetProperty("content", out var content) ? content : default;
        }

        return value.ValueKind == JsonValueKind.String ? value.GetString() : null;
    }

    private static void Add(Dictionary<string, AddedToken> added, string path, string token, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out var id) || id < 0)
        {
            throw new UserErrorException($"{path}: the id of \"{token}\" is {value.GetRawText()}, not a token id");
        }

        added[token] = token.Length > 0 ? new AddedToken(token, id) : throw new UserErrorException($"{path}: a token is empty");
    }

    private static bool? Flag(JsonElement root, string name, string path) =>
        !root.TryGetProperty(name, out var value) ? null : value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind.Null => null,
            _ => throw new UserErrorException($"{path}: {name} is {value.GetRawText()}, not true or false"),
        };

    private static JsonDocument? ReadObject(string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        try
        {
            var bytes = TokenizerFile.Read(path, MaxBytes);
            var document = JsonDocument.Parse(bytes, Strict);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                return document;
            }

            document.Dispose();
        }
        catch (JsonException e)
        {
            throw new UserErrorException(
                $"{path}: line {(e.LineNumber ?? 0) + 1}, byte {(e.BytePositionInLine ?? 0) + 1}: not valid JSON", e);
        }

        throw new UserErrorException($"{path}: not a JSON object");
    }
}
