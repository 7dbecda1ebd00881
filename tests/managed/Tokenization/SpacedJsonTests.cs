using System.Text.Json;
using System.Text.Json.Nodes;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Tests.Gguf;
using LlavaSharp.Tests.Training;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Tokenization;

/// <summary>tokenizer.json of a SentencePiece model without tokenizer.model, as transformers 5 saves it.</summary>
public sealed class SpacedJsonTests : IDisposable
{
    private const string Prepend = """
        {"type": "Sequence", "normalizers": [
          {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
        """;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(Prepend, "null")]
    [InlineData("null", """{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false}""")]
    [InlineData("null", """{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}""")]
    [InlineData("null", """{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": false}""")]
    public void Texts_have_the_ids_of_the_tokenizers_library(string normalizer, string words)
    {
        foreach (var normalized in (bool[])[false, true])
        {
            var json = Json(normalizer, words, normalized);
            var tokenizer = LlavaTokenizer.Load(_folder.Path);
            var reference = new HuggingFaceReference(json);
            foreach (var text in TokenizerExportTests.Texts().Select(t => t.Replace("<image>", " x", StringComparison.Ordinal)))
            {
                var ids = TokenizerExportTests.Train(tokenizer, text);
                Assert.True(ids.SequenceEqual(reference.Encode(text)),
                    $"{JsonSerializer.Serialize(text)}: {string.Join(' ', ids)} for {string.Join(' ', reference.Encode(text))}");
            }
        }
    }

    [Fact]
    public void A_gap_is_closed_as_the_library_closes_it()
    {
        var json = JsonNode.Parse(Json(Prepend, "null", false))!;
        json["added_tokens"]!.AsArray()[^1]!["id"] = 801;
        json["added_tokens"]!.AsArray()[^2]!["id"] = 800;
        _folder.Write("tokenizer.json", json.ToJsonString());
        _folder.Write("tokenizer_config.json", """{"eos_token": "</s>", "added_tokens_decoder": {"800": {"content": "word"}}}""");
        Assert.Equal(new HuggingFaceReference(json.ToJsonString()).IdOf("word"), LlavaTokenizer.Load(_folder.Path).AddedTokens["word"]);
    }

    [Theory]
    [InlineData("""{"type": "Lowercase"}""", "null", "normalises by Lowercase")]
    [InlineData("null", "null", "leaves spaces as they are")]
    [InlineData("null", """{"type": "Whitespace"}""", "cuts words by Whitespace")]
    [InlineData("null", """{"type": "Metaspace", "replacement": "_"}""", "writes spaces otherwise")]
    [InlineData(Prepend, """{"type": "Metaspace", "replacement": "▁"}""", "in two ways (Prepend and Metaspace)")]
    [InlineData("null", """{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "odd"}""", "by the scheme odd")]
    [InlineData("""{"type": "Replace", "pattern": {"Regex": "x"}, "content": "y"}""", "null", "replaces {\"Regex\":\"x\"} by \"y\"")]
    public void What_is_not_implemented_is_named(string normalizer, string words, string expected)
    {
        Json(normalizer, words, false);
        var message = Assert.Throws<UserErrorException>(() => LlavaTokenizer.Load(_folder.Path)).Message;
        Assert.Contains(expected, message);
        Assert.DoesNotContain('\n', message);
    }

    [Theory]
    [InlineData("\"id\":699", "\"id\":-5", "the id of \"word\" is -5, not a token id")]
    [InlineData("\"id\":699", "\"id\":698", "the id 698 is the token \"<loc_1>\" in ")]
    [InlineData("\"content\":\"word\"", "\"content\":\"\"", "the added token 699 has no content")]
    [InlineData("\"content\":\"word\"", "\"content\":7", "the added token 699 has no content")]
    [InlineData("\"id\":699", "\"id\":\"x\"", "not a tokenizer.json")]
    [InlineData("\"type\":\"ByteFallback\"", "\"type\":\"CTC\"", "decodes by CTC")]
    public void Odd_files_are_named(string old, string value, string expected)
    {
        var json = Json(Prepend, "null", false);
        Assert.Contains(old, json);
        _folder.Write("tokenizer.json", json.Replace(old, value, StringComparison.Ordinal));
        var message = Assert.Throws<UserErrorException>(() => LlavaTokenizer.Load(_folder.Path)).Message;
        Assert.Contains(expected, message);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void A_folder_without_tokenizer_model_trains_asks_and_converts_as_with_it()
    {
        using var tiny = new TinyRun();
        Host.Succeed(tiny.Stage2(tiny["model"], "--max_steps", "2"));
        File.Delete(Path.Combine(tiny.Llama, "tokenizer.model"));
        File.Delete(Path.Combine(tiny.Llama, "special_tokens_map.json"));
        Host.Succeed(tiny.Stage2(tiny["json"], "--max_steps", "2"));
        Assert.False(File.Exists(Path.Combine(tiny["json"], "tokenizer.model")));
        Assert.Equal(File.ReadAllBytes(tiny["model/model.safetensors"]), File.ReadAllBytes(tiny["json/model.safetensors"]));
        foreach (var layout in (string[])["hf", "llava"])
        {
            Host.Succeed("convert", "--from", tiny["json"], "--to", tiny["json-" + layout], "--layout", layout);
            Host.Succeed("convert", "--from", tiny["model"], "--to", tiny["model-" + layout], "--layout", layout);
            Assert.Equal(Ask(tiny, tiny["model-" + layout]), Ask(tiny, tiny["json-" + layout]));
        }

        foreach (var from in (string[])["model", "json"])
        {
            Host.Succeed("convert", "--from", tiny[from], "--to", tiny["gguf-" + from], "--layout", "gguf");
        }

        var (theirs, ours) = (new GgufFile(tiny["gguf-model/model-f32.gguf"]), new GgufFile(tiny["gguf-json/model-f32.gguf"]));
        Assert.Equal((object[])theirs.Metadata["tokenizer.ggml.tokens"], (object[])ours.Metadata["tokenizer.ggml.tokens"]);
        Assert.Equal((object[])theirs.Metadata["tokenizer.ggml.token_type"], (object[])ours.Metadata["tokenizer.ggml.token_type"]);
        string[] data = ["--data_path", tiny.Talks, "--model_name_or_path", tiny.Llama, "--vision_tower", tiny.Clip, "--version", "v1"];
        Host.Succeed(["show-sample", "--index", "0", .. data, "--image_folder", tiny.Images]);
    }

    [Fact]
    public void Scores_of_the_merges_give_the_ids_of_the_merges()
    {
        var original = TokenizerGolden.Load("large");
        _folder.Write("tokenizer.json", TokenizerJson.Convert(original, original.Tokens));
        var read = LlavaTokenizer.Load(_folder.Path);
        var model = new SentencePieceModel { ModelType = 2, ByteFallback = true, NormalizerName = "identity", RemoveExtraWhitespaces = false };
        model.Pieces.AddRange(read.SentencePieces());
        Assert.Equal(original.SentencePieces().Select(p => (p.Text, p.Type)), model.Pieces.Select(p => (p.Text, p.Type)));
        var again = LlavaTokenizer.FromBytes(model.ToBytes(1, 16), legacy: true);
        foreach (var text in TokenizerExportTests.Texts().Concat(TokenizerGolden.ByteLevelLines().Take(200)))
        {
            Assert.Equal(original.Encode(text), again.Encode(text));
        }
    }

    [Fact]
    public void Merges_that_no_score_describes_are_refused_in_gguf_alone()
    {
        var json = JsonNode.Parse(Json(Prepend, "null", false))!;
        var merges = json["model"]!["merges"]!.AsArray();
        merges.RemoveAt(merges.Count / 2);
        _folder.Write("tokenizer.json", json.ToJsonString());
        var tokenizer = LlavaTokenizer.Load(_folder.Path);
        var message = Assert.Throws<UserErrorException>(() => tokenizer.SentencePieces()).Message;
        Assert.Contains("in an order that no SentencePiece model has", message);
    }

    private static string Ask(TinyRun tiny, string model)
    {
        var (code, answer, error) = Host.Run(
            "generate", "--model", model, "--image", Path.Combine(tiny.Images, "1.png"), "--prompt", "Colour?", "--max_new_tokens", "3", "--json");
        Assert.True(code == 0, error);

        // Bytes that are no text are decoded as SentencePiece does with one file, as tokenizers does with the other.
        return answer[..answer.IndexOf("\"text\"", StringComparison.Ordinal)];
    }

    /// <summary>The golden model's pieces under other steps, with three added tokens; written into the folder.</summary>
    private string Json(string normalizer, string words, bool normalized)
    {
        var original = TokenizerGolden.Load("small");
        AddedToken[] added =
        [
            new("<loc_1>", 698, StripRight: true, Special: false, Normalized: normalized),
            new("word", 699, StripLeft: true, SingleWord: true, Normalized: normalized),
            new(" x", 700, Special: false, Normalized: normalized),
        ];
        var json = JsonNode.Parse(TokenizerJson.Convert(original, [.. original.Tokens, .. added]))!;
        json["normalizer"] = JsonNode.Parse(normalizer);
        json["pre_tokenizer"] = JsonNode.Parse(words);
        var text = json.ToJsonString();
        _folder.Write("tokenizer.json", text);
        return text;
    }
}
