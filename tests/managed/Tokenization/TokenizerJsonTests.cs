using System.Text.Json;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Tokenization;

public sealed class TokenizerJsonTests
{
    [Fact]
    public void Vocabulary_merges_and_added_tokens_are_the_models()
    {
        var tokenizer = TokenizerGolden.Load("small", legacy: false);
        using var document = Convert(tokenizer, [new("<pad>", 699), new("<image>", 698)]);
        var root = document.RootElement;
        var added = root.GetProperty("added_tokens").EnumerateArray()
            .Select(t => (t.GetProperty("id").GetInt32(), t.GetProperty("content").GetString()));
        Assert.Equal([(0, "<unk>"), (1, "<s>"), (2, "</s>"), (698, "<image>"), (699, "<pad>")], added);

        var model = root.GetProperty("model");
        var vocabulary = model.GetProperty("vocab").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetInt32());
        Assert.Equal(tokenizer.PieceCount, vocabulary.Count);
        Assert.Equal(3 + 0xFF, vocabulary["<0xFF>"]);
        var merges = model.GetProperty("merges").EnumerateArray()
            .Select(m => m.GetString()!.Split(' ')).Select(m => (Left: m[0], Right: m[1])).ToList();
        Assert.NotEmpty(merges);
        Assert.Equal(merges.Count, merges.Distinct().Count());
        Assert.All(merges, m => Assert.True(vocabulary[m.Left] > 258 && vocabulary[m.Right] > 258));

        // Every piece of more than one character can be reached, and better pieces come first.
        int[] made = [.. merges.Select(m => vocabulary[m.Left + m.Right])];
        Assert.Equal(made.Order(), made);
        Assert.Equal(vocabulary.Where(p => p.Value > 258 && p.Key.Length > 1).Select(p => p.Value).Order(), made.Distinct());
    }

    [Fact]
    public void A_legacy_tokenizer_of_plain_tokens_has_the_form_of_the_official_conversions()
    {
        using var legacy = Convert(TokenizerGolden.Load("small", legacy: true), []);
        Assert.Equal(JsonValueKind.Null, legacy.RootElement.GetProperty("pre_tokenizer").ValueKind);
        Assert.Equal("Prepend", legacy.RootElement.GetProperty("normalizer").GetProperty("normalizers")[0].GetProperty("type").GetString());
        var bos = legacy.RootElement.GetProperty("post_processor").GetProperty("special_tokens").GetProperty("<s>");
        Assert.Equal(1, bos.GetProperty("ids")[0].GetInt32());
    }

    [Fact]
    public void A_tokenizer_without_begin_mark_says_so()
    {
        using var folder = new TempFolder();
        folder.Write("tokenizer.model", TokenizerGolden.ModelBytes("small"));
        folder.Write("tokenizer_config.json", """{"add_bos_token": false}""");
        using var document = Convert(LlavaTokenizer.Load(folder.Path), []);
        Assert.Equal(JsonValueKind.Null, document.RootElement.GetProperty("post_processor").ValueKind);
    }

    private static JsonDocument Convert(LlavaTokenizer tokenizer, AddedToken[] added) =>
        JsonDocument.Parse(TokenizerJson.Convert(tokenizer, [.. tokenizer.Tokens.Concat(added).OrderBy(t => t.Id)]));
}
