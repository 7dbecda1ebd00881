using System.Text;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Tokenization;

/// <summary>Properties of tokenizer files: any text comes back, and any damage to a file ends in a tokenizer or in one line.</summary>
public sealed class TokenizerFileProperties : IDisposable
{
    private static readonly string[] Values =
    [
        "null", "-1", "0", "1e99", "99999999999", "true", "\"\"", "\"<a>\"", "\"\\ud800\"", "[]", "[1]", "{}", "{\"content\": 5}", "\"▁\"",
        "2147483648",
    ];

    private static readonly string[] Names =
    [
        "sp/tokenizer_config.json", "sp/added_tokens.json", "sp/special_tokens_map.json", "json/tokenizer_config.json",
        "json/tokenizer.json",
    ];

    private readonly TempFolder _folder = new();
    private readonly LlavaTokenizer[] _tokenizers;

    // The suite draws the same cases everywhere; leave Replay out to draw others.
    private const string Seed = "(20261201,296573)";

    public TokenizerFileProperties()
    {
        _folder.Write("sp/tokenizer.model", TokenizerGolden.ModelBytes("small"));
        _folder.Write("sp/tokenizer_config.json", Config);
        _folder.Write("sp/added_tokens.json", """{"<loc>": 698, "[PAD]": 699}""");
        _folder.Write("sp/special_tokens_map.json", """{"pad_token": "[PAD]", "eos_token": {"content": "</s>", "lstrip": false}}""");
        var sentencePiece = LlavaTokenizer.Load(_folder["sp"]);
        _folder.Write("json/tokenizer.json", TokenizerJson.Convert(sentencePiece, SpaceSteps.Fit(sentencePiece.Space!, sentencePiece.Tokens)));
        _folder.Write("json/tokenizer_config.json", Config);
        _tokenizers =
        [
            sentencePiece, LlavaTokenizer.Load(_folder["json"]), TokenizerGolden.LoadByteLevel("llama3"), TokenizerGolden.LoadByteLevel("gpt2"),
        ];
    }

    private static string Config => """
        {"legacy": false, "add_bos_token": true, "eos_token": "</s>", "bos_token": "<s>", "additional_special_tokens": ["[PAD]"],
         "added_tokens_decoder": {"698": {"content": "<loc>", "lstrip": true, "single_word": false, "normalized": true, "special": false}}}
        """;

    public void Dispose() => _folder.Dispose();

    [Property(MaxTest = 300, Replay = Seed)]
    public void Any_text_comes_back(string? text)
    {
        // Half a surrogate pair is no text: it is U+FFFD from the first encoding on.
        var whole = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text ?? ""));
        foreach (var tokenizer in _tokenizers)
        {
            Assert.Equal(whole.Replace('\u2581', ' '), tokenizer.Decode(tokenizer.Encode(whole)).Replace('\u2581', ' '));
            Assert.All(tokenizer.EncodeWithSpecial(text ?? ""), id => Assert.InRange(id, 0, tokenizer.IdCount - 1));
        }
    }

    [Property(MaxTest = 300, Replay = Seed)]
    public void Any_characters_come_back(uint[] points)
    {
        var runes = (points ?? []).Select(p => p % 0x110000).Where(Rune.IsValid).Select(p => new Rune(p).ToString());
        Any_text_comes_back(string.Concat(runes));
    }

    [Property(MaxTest = 300, Replay = Seed)]
    public void A_changed_json_file_gives_a_tokenizer_or_one_line(int file, int at, int length, int value)
    {
        var name = Names[Index(file, Names.Length)];
        var text = File.ReadAllText(_folder[name]);

        // Most of tokenizer.json is the vocabulary: half of the changes go to the steps before it.
        var steps = name.EndsWith("tokenizer.json", StringComparison.Ordinal) && value % 2 == 0;
        var start = Index(at, steps ? text.IndexOf("\"vocab\"", StringComparison.Ordinal) : text.Length);
        var end = Math.Min(text.Length, start + Index(length, 12));
        Opens(name, text[..start] + Values[Index(value, Values.Length)] + text[end..]);
        Opens(name, text[..start]);
    }

    [Property(MaxTest = 300, Replay = Seed)]
    public void A_field_of_another_kind_gives_a_tokenizer_or_one_line(int file, int field, int value)
    {
        var name = Names[Index(file, Names.Length)];
        var text = File.ReadAllText(_folder[name]);
        var colons = Enumerable.Range(0, text.Length).Where(i => text[i] == ':' && text[i - 1] == '"').Take(200).ToArray();
        var start = colons[Index(field, colons.Length)] + 1;
        var end = text.IndexOfAny([',', '}', ']'], start);
        Opens(name, text[..start] + Values[Index(value, Values.Length)] + text[end..]);
    }

    private static int Index(int value, int count) => (int)((uint)value % (uint)count);

    private void Opens(string name, string text)
    {
        var before = File.ReadAllText(_folder[name]);
        _folder.Write(name, text);
        try
        {
            var tokenizer = LlavaTokenizer.Load(_folder[name.Split('/')[0]]);
            tokenizer.Decode(tokenizer.EncodeWithSpecial("Hello <loc> 東京</s> [PAD]"));
        }
        catch (UserErrorException e)
        {
            Assert.DoesNotContain('\n', e.Message);
        }
        finally
        {
            _folder.Write(name, before);
        }
    }
}
