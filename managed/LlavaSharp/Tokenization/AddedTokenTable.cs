using System.Text.Json;

namespace LlavaSharp.Tokenization;

/// <summary>
/// The added tokens of a folder, gathered from all files that name some. A token has one id and an id one token: where two files
/// disagree, both are named. Of two that agree, the later one's settings count.
/// </summary>
internal sealed class AddedTokenTable
{
    private const int IdLimit = 1 << 24;

    private readonly Dictionary<string, AddedToken> _byText = new(StringComparer.Ordinal);

    private readonly Dictionary<int, AddedToken> _byId = [];

    /// <summary>The tokens, by id.</summary>
    public IReadOnlyList<AddedToken> Tokens => [.. _byText.Values.OrderBy(t => t.Id)];

    /// <summary>Reads the fields of a token that a file describes by an object.</summary>
    /// <exception cref="UserErrorException">A field has another type, or the content is empty.</exception>
    public static AddedToken Read(JsonElement token, int id, string path)
    {
        var text = token.ValueKind == JsonValueKind.Object && token.TryGetProperty("content", out var content)
            ? JsonText.Of(content) : null;
        return string.IsNullOrEmpty(text)
            ? throw new UserErrorException($"{path}: the added token {id} has no content, or an empty one")
            : new AddedToken(text, id, Flag("lstrip"), Flag("rstrip"), Flag("single_word"), Flag("special"), Flag("normalized"))
            {
                File = path,
            };

        bool Flag(string name) => JsonText.Flag(token, name, path) ?? false;
    }

    /// <summary>Adds a token, or gives one that is there other settings.</summary>
    /// <exception cref="UserErrorException">Another file gives it another id, or its id another token.</exception>
    public void Add(AddedToken token)
    {
        if (token.Id is < 0 or >= IdLimit)
        {
            throw new UserErrorException($"{token.File}: the id of \"{token.Text}\" is {token.Id}, not a token id");
        }

        if (_byText.TryGetValue(token.Text, out var same) && same.Id != token.Id)
        {
            throw new UserErrorException($"the token \"{token.Text}\" has the id {same.Id} in {same.File} and {token.Id} in "
                + $"{token.File}; remove the one that is wrong");
        }

        if (_byId.TryGetValue(token.Id, out var other) && other.Text != token.Text)
        {
            throw new UserErrorException($"the id {token.Id} is the token \"{other.Text}\" in {other.File} and \"{token.Text}\" in "
                + $"{token.File}; remove the one that is wrong");
        }

        _byText[token.Text] = _byId[token.Id] = token;
    }

    /// <summary>The token of a text, if there is one.</summary>
    public AddedToken? Find(string text) => _byText.GetValueOrDefault(text);
}
