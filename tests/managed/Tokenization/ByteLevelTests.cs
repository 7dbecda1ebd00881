using System.Text.Json;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Tokenization;

/// <summary>Byte-level BPE against Hugging Face's tokenizers 0.23.1: three tokenizers, a thousand strings.</summary>
public sealed class ByteLevelTests
{
    [Theory]
    [InlineData("llama3")]
    [InlineData("qwen")]
    [InlineData("gpt2")]
    public void Ids_are_those_of_the_tokenizers_library(string name)
    {
        var tokenizer = TokenizerGolden.LoadByteLevel(name);
        var lines = TokenizerGolden.ByteLevelLines();
        Assert.Equal(1000, lines.Length);
        foreach (var line in lines)
        {
            using var json = JsonDocument.Parse(line);
            var text = json.RootElement.GetProperty("text").GetString()!;
            int[] expected = [.. json.RootElement.GetProperty(name).EnumerateArray().Select(e => e.GetInt32())];
            var ids = tokenizer.EncodeWithSpecial(text);
            Assert.True(expected.AsSpan().SequenceEqual(ids), $"{name} {JsonSerializer.Serialize(text)}: {string.Join(',', ids)} for {string.Join(',', expected)}");
            if (name != "qwen")
            {
                Assert.Equal(text, string.Concat(ids.Select(id => tokenizer.AddedTokens.FirstOrDefault(t => t.Value == id).Key ?? "\0"))
                    is var marks && marks.Trim('\0').Length == 0 ? tokenizer.Decode(ids) : text);
            }
        }
    }

    [Fact]
    public void Special_ids()
    {
        var llama = TokenizerGolden.LoadByteLevel("llama3");
        Assert.Equal((true, true, -1), (llama.IsByteLevel, llama.AddBos, llama.UnknownId));
        Assert.Equal(("<|begin_of_text|>", "<|end_of_text|>"), (llama.Spelling(llama.BosId), llama.EosPiece));
        var qwen = TokenizerGolden.LoadByteLevel("qwen");
        Assert.Equal((false, -1, "<|im_end|>"), (qwen.AddBos, qwen.BosId, qwen.EosPiece));
        Assert.Equal(803, qwen.IdCount);
        var more = qwen.WithTokens("<im_start>", "<im_end>", "<|im_end|>");
        Assert.Equal([803, .. qwen.Encode("x"), 804], more.EncodeWithSpecial("<im_start>x<im_end>"));
        Assert.Equal(805, more.IdCount);
        Assert.Equal("x", more.Decode(more.EncodeWithSpecial("<im_start>x<im_end>")));
    }

    [Fact]
    public void The_end_mark_is_named_by_the_config()
    {
        using var folder = new TempFolder();
        folder.Write("tokenizer.json", File.ReadAllBytes(TokenizerGolden.ModelPath("qwen").Replace(".model", ".json", StringComparison.Ordinal)));
        folder.Write("tokenizer_config.json", """{"eos_token": {"content": "<|endoftext|>"}}""");
        Assert.Equal("<|endoftext|>", LlavaTokenizer.Load(folder.Path).EosPiece);
        folder.Write("tokenizer_config.json", """{"eos_token": "<|x|>"}""");
        Assert.Equal(803, LlavaTokenizer.Load(folder.Path).EosId);
    }

    [Theory]
    [InlineData("\"type\":\"BPE\"", "\"type\":\"Unigram\"", "is a model of type Unigram")]
    [InlineData("\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"</w>\"", "has a end_of_word_suffix")]
    [InlineData("\"dropout\":null", "\"dropout\":0.1", "drops merges at random")]
    [InlineData("\"type\":\"NFC\"", "\"type\":\"Lowercase\"", "normalises by Lowercase")]
    [InlineData("\"type\":\"Split\"", "\"type\":\"Whitespace\"", "cuts words by Whitespace")]
    [InlineData("\"behavior\":\"Isolated\"", "\"behavior\":\"Odd\"", "splits with behavior Odd")]
    [InlineData("\"Regex\":\"(", "\"Regex\":\"((", "cannot be used")]
    [InlineData("\"Ġ\":", "\"Gx\":", "has no piece for byte 32")]
    [InlineData("\"merges\":[", "\"merges\":[[\"zz\",\"qq\"],", "has a merge")]
    [InlineData("\"vocab\":{", "\"vocab\":{\"twice\":0,", "gives one id to two pieces")]
    [InlineData("{\"version\"", "{\"x", "not valid JSON")]
    [InlineData("\"merges\":[", "\"merges\":{},\"x\":[", "not a tokenizer.json")]
    public void What_would_change_ids_is_refused(string old, string value, string message)
    {
        using var folder = new TempFolder();
        var json = File.ReadAllText(TokenizerGolden.ModelPath("qwen").Replace(".model", ".json", StringComparison.Ordinal));
        Assert.Contains(old, json, StringComparison.Ordinal);
        var at = json.IndexOf(old, StringComparison.Ordinal);
        folder.Write("tokenizer.json", json[..at] + value + json[(at + old.Length)..]);
        Expect(folder, message);
    }

    [Theory]
    [InlineData("e\u0301", "é")]
    [InlineData("\u1100\u1161\u11a8", "각")]
    [InlineData("\uac00\u11a8", "각")]
    [InlineData("a\u0304\u0308", "ā\u0308")]
    [InlineData("a\u0323\u0307", "ạ\u0307")]
    [InlineData("a\u0307\u0323", "ạ\u0307")]
    [InlineData("q\u0307\u0323", "q\u0323\u0307")]
    [InlineData("\u0344", "\u0308\u0301")]
    [InlineData("\u0915\u093c", "\u0915\u093c")]
    [InlineData("\u0bc6\u0bbe", "\u0bca")]
    [InlineData("\ud834\udd5e", "\ud834\udd57\ud834\udd65")]
    [InlineData("\u0301", "\u0301")]
    [InlineData("e\u0301\u0301", "é\u0301")]
    [InlineData("ascii", "ascii")]
    public void Normal_form_C(string text, string expected) => Assert.Equal(expected, Nfc.Compose(text));

    private static void Expect(TempFolder folder, string message)
    {
        var error = Assert.Throws<UserErrorException>(() => LlavaTokenizer.Load(folder.Path));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }
}
