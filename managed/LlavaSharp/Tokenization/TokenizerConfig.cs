using System.Globalization;
using System.Text.Json;

namespace LlavaSharp.Tokenization;

/// <summary>
/// What Hugging Face keeps beside a tokenizer's model: the settings of <c>tokenizer_config.json</c> and the added tokens that it,
/// <c>added_tokens.json</c>, <c>special_tokens_map.json</c> and tokenizer.json name.
/// </summary>
internal sealed class TokenizerConfig
{
    private const string AddedFile = "added_tokens.json", ConfigFile = "tokenizer_config.json", MapFile = "special_tokens_map.json";

    private readonly Dictionary<string, (string Text, string Path)> _roles = new(StringComparer.Ordinal);

    /// <summary>Texts that a file calls special, each with what it says of it.</summary>
    private readonly List<(string Text, JsonElement Value, string Path)> _special = [];

    private readonly AddedTokenTable _added = new();

    /// <summary><c>legacy</c>; null when absent, which means true, as in LlamaTokenizer.</summary>
    public bool? Legacy { get; init; }

    /// <summary><c>add_bos_token</c>; null when absent.</summary>
    public bool? AddBos { get; private set; }

    /// <summary>Tokens that the folder adds to the model, by id.</summary>
    public IReadOnlyList<AddedToken> AddedTokens => _added.Tokens;

    /// <summary>Reads the files of a folder; each may be absent.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="json">The added tokens of its tokenizer.json.</param>
    /// <param name="pieceOf">The id of a piece of the model; -1 for none.</param>
    /// <param name="pieces">Ids that the model has.</param>
    /// <exception cref="UserErrorException">A file is no JSON object or asks for what is not implemented, or two disagree.</exception>
    public static TokenizerConfig Load(string folder, IReadOnlyList<AddedToken> json, Func<string, int> pieceOf, int pieces)
    {
        try
        {
            return Read(folder, json, pieceOf, pieces);
        }
        catch (InvalidOperationException e)
        {
            throw new UserErrorException($"{folder}: a tokenizer file holds text that is not UTF-8", e);
        }
    }

    /// <summary>The text of a named token, such as <c>eos_token</c>; null when no file names it.</summary>
    public string? Role(string name) => _roles.TryGetValue(name, out var role) ? role.Text : null;

    private static TokenizerConfig Read(string folder, IReadOnlyList<AddedToken> json, Func<string, int> pieceOf, int pieces)
    {
        var settings = Path.Combine(folder, ConfigFile);
        using var document = JsonText.ReadObject(settings);
        using var map = JsonText.ReadObject(Path.Combine(folder, MapFile));
        using var list = JsonText.ReadObject(Path.Combine(folder, AddedFile));
        var config = new TokenizerConfig { Legacy = document is null ? null : JsonText.Flag(document.RootElement, "legacy", settings) };
        config.ReadSettings(document, settings);
        config.ReadRoles(map, Path.Combine(folder, MapFile));
        foreach (var token in json)
        {
            config._added.Add(token);
        }

        config.ReadList(list, Path.Combine(folder, AddedFile));
        foreach (var token in json)
        {
            config._added.Add(token);
        }

        config.ReadDecoder(document, settings);
        config.AddSpecial(pieceOf, pieces);
        return config;
    }

    private static bool IsRole(string name) => name.EndsWith("_token", StringComparison.Ordinal);

    private void ReadSettings(JsonDocument? document, string path)
    {
        if (document is null)
        {
            return;
        }

        var root = document.RootElement;
        AddBos = JsonText.Flag(root, "add_bos_token", path);
        if (JsonText.Flag(root, "add_eos_token", path) == true)
        {
            throw new UserErrorException(
                $"{path}: add_eos_token is true, which would put an end mark after every piece of a prompt; set it to false");
        }

        ReadRoles(document, path);
    }

    /// <summary>Named tokens: a string, or an object as in added_tokens_decoder; and the lists of further special ones.</summary>
    private void ReadRoles(JsonDocument? document, string path)
    {
        foreach (var field in document is null ? default : document.RootElement.EnumerateObject())
        {
            if (field.Name is "additional_special_tokens" or "extra_special_tokens")
            {
                foreach (var value in field.Value.ValueKind == JsonValueKind.Array ? field.Value.EnumerateArray() : default)
                {
                    AddSpecial(value, path);
                }
            }
            else if (IsRole(field.Name) && AddSpecial(field.Value, path) is { } text)
            {
                AddRole(field.Name, text, path);
            }
        }
    }

    private void AddRole(string name, string text, string path)
    {
        if (name == "eos_token" && _roles.TryGetValue(name, out var other) && other.Text != text)
        {
            throw new UserErrorException(
                $"eos_token is \"{other.Text}\" in {other.Path} and \"{text}\" in {path}; make both the token that ends an answer");
        }

        _roles.TryAdd(name, (text, path));
    }

    private string? AddSpecial(JsonElement value, string path)
    {
        var text = value.ValueKind == JsonValueKind.Object && value.TryGetProperty("content", out var content)
            ? JsonText.Of(content) : JsonText.Of(value);
        if (!string.IsNullOrEmpty(text))
        {
            _special.Add((text, value.Clone(), path));
        }

        return string.IsNullOrEmpty(text) ? null : text;
    }

    /// <summary>added_tokens.json says no more than ids: a token is special if another file calls it so.</summary>
    private void ReadList(JsonDocument? document, string path)
    {
        foreach (var token in document is null ? default : document.RootElement.EnumerateObject())
        {
            if (token.Value.ValueKind != JsonValueKind.Number || !token.Value.TryGetInt32(out var id))
            {
                throw new UserErrorException(
                    $"{path}: the id of \"{token.Name}\" is {JsonText.FirstLine(token.Value.GetRawText())}, not a token id");
            }

            if (token.Name.Length == 0)
            {
                throw new UserErrorException($"{path}: a token is empty");
            }

            var special = _special.Exists(s => s.Text == token.Name);
            Add(new AddedToken(token.Name, id, Special: special, Normalized: !special) { File = path });
        }
    }

    private void ReadDecoder(JsonDocument? document, string path)
    {
        if (document is null || !document.RootElement.TryGetProperty("added_tokens_decoder", out var decoder)
            || decoder.ValueKind == JsonValueKind.Null)
        {
            return;
        }

        if (decoder.ValueKind != JsonValueKind.Object)
        {
            throw new UserErrorException($"{path}: added_tokens_decoder is {decoder.ValueKind}, not an object of tokens by id");
        }

        foreach (var entry in decoder.EnumerateObject())
        {
            if (!int.TryParse(entry.Name, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var id))
            {
                throw new UserErrorException($"{path}: added_tokens_decoder has an entry \"{entry.Name}\" that is no id with a content");
            }

            Add(AddedTokenTable.Read(entry.Value, id, path));
        }
    }

    /// <summary>Adds a token. Where the files agree on an id that the library does not give, its own counts.</summary>
    private void Add(AddedToken token) => _added.Add(
        _added.Find(token.Text) is { StatedId: { } stated } known && stated == token.Id
            ? token with { Id = known.Id, StatedId = stated } : token);

    /// <summary>
    /// A special token that no file gives an id has the id of the piece that it spells, or else the next one, as transformers
    /// gives it when it opens the folder.
    /// </summary>
    private void AddSpecial(Func<string, int> pieceOf, int pieces)
    {
        foreach (var (text, value, path) in _special)
        {
            if (_added.Find(text) is not null)
            {
                continue;
            }

            var id = pieceOf(text);
            id = id >= 0 ? id : Math.Max(pieces, AddedTokens is [.., var last] ? last.Id + 1 : 0);
            var token = value.ValueKind == JsonValueKind.Object ? AddedTokenTable.Read(value, id, path) : new AddedToken(text, id);
            _added.Add(token with { Special = true, File = path });
        }
    }
}
