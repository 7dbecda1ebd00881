using System.Text.Json;
using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Templates;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Tokenization;

/// <summary>A written folder gives texts the ids of training in transformers, too, and again when it is read here.</summary>
public sealed class TokenizerExportTests : IDisposable
{
    private static readonly string[] Fragments =
    [
        "a", " ", "  ", "\n", "What", "<image>", "<image>", "<image>\n", "</s>", "<s>", "<unk>", "USER: ", "<loc_1>", "<l s>", " <l s> ",
        "word", "sword", " word ", "words", "é", "🙂", "▁", "red car", "\t", "<image", "東京", "<loc_9>", "x<loc_1>y", "<0x0A>",
    ];

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("true", false)]
    [InlineData("false", false)]
    [InlineData("null", false)]
    [InlineData("true", true)]
    [InlineData("false", true)]
    public void Texts_have_the_ids_of_training(string legacy, bool added)
    {
        var tokenizer = Tokenizer(legacy, added ? Added(698) : "");
        Write(tokenizer, 704);
        var reference = new HuggingFaceReference(File.ReadAllText(_folder["out/tokenizer.json"]));
        var again = LlavaTokenizer.Load(_folder["out"]);
        File.Delete(_folder["out/tokenizer.model"]);
        var alone = LlavaTokenizer.Load(_folder["out"]);
        Assert.True(alone.IsSpacedJson);
        var image = reference.IdOf("<image>");
        Assert.Equal((image, image), (again.AddedTokens["<image>"], alone.AddedTokens["<image>"]));
        foreach (var text in Texts())
        {
            var ids = Train(tokenizer, text);
            Assert.True(ids.SequenceEqual(reference.Encode(text).Select(id => id == image ? LlavaTokenizer.ImageToken : id)),
                $"{JsonSerializer.Serialize(text)}: {string.Join(' ', ids)} for {string.Join(' ', reference.Encode(text))}");
            Assert.Equal(ids, Train(again, text));
            Assert.Equal(ids, Train(alone, text));
            Assert.Equal(tokenizer.Decode(ids), alone.Decode(ids));
        }
    }

    [Fact]
    public void A_mark_stands_behind_each_image_as_in_official_conversions()
    {
        Write(Tokenizer("false"), 700);
        var reference = new HuggingFaceReference(File.ReadAllText(_folder["out/tokenizer.json"]));
        var (image, mark, line) = (reference.IdOf("<image>"), reference.IdOf("▁"), reference.IdOf("<0x0A>"));
        Assert.Equal([1, image, mark, line], reference.Encode("<image>\n"));
        Assert.Equal([1, image, image, mark, line, 2, line], reference.Encode("<image><image>\n</s>\n"));
        Assert.Equal([1, image], reference.Encode("<image>"));
        var config = JsonNode.Parse(File.ReadAllText(_folder["out/tokenizer_config.json"]))!;
        Assert.Equal("PreTrainedTokenizerFast", (string)config["tokenizer_class"]!);
    }

    [Fact]
    public void Settings_of_added_tokens_are_kept_and_gaps_filled_in_every_layout()
    {
        var tokenizer = Tokenizer("false", """
            "700": {"content": "<a>", "lstrip": true, "rstrip": false, "single_word": true, "normalized": false, "special": false},
            "703": {"content": "<b>", "lstrip": false, "rstrip": true, "single_word": false, "normalized": false, "special": true},
            "704": {"content": "<c>", "normalized": true, "special": false}
            """);
        Write(tokenizer, 710);
        var config = TinyModel.Config(vocabulary: 710);
        HuggingFacePartsWriter.WriteLanguageModel(_folder["lm"], config.Text, new TinyModel(config), tokenizer);
        foreach (var layout in (string[])["out", "lm"])
        {
            var reference = new HuggingFaceReference(File.ReadAllText(_folder[$"{layout}/tokenizer.json"]));
            Assert.Equal((700, 703, 704), (reference.IdOf("<a>"), reference.IdOf("<b>"), reference.IdOf("<c>")));
            var read = LlavaTokenizer.Load(_folder[layout]).Tokens;
            Assert.Equal(
                tokenizer.Tokens.Select(t => t with { File = null, StatedId = null }),
                read.Where(t => !t.Text.StartsWith("<unused_", StringComparison.Ordinal) && t.Text is not ("<image>" or "<pad>"))
                    .Select(t => t with { File = null, StatedId = null }));
        }
    }

    [Fact]
    public void A_token_that_renames_a_piece_keeps_its_name()
    {
        var tokenizer = Tokenizer("true", """ "300": {"content": "<|call|>", "special": false, "normalized": false} """);
        Assert.Equal("<|call|>", tokenizer.Spelling(300));
        Assert.Equal("x<|call|>", tokenizer.Decode([.. tokenizer.Encode("x"), 300]));
        Write(tokenizer, 700);
        var reference = new HuggingFaceReference(File.ReadAllText(_folder["out/tokenizer.json"]));
        Assert.Equal(300, reference.IdOf("<|call|>"));
        foreach (var text in Texts().Take(50).Append("a<|call|>b"))
        {
            var ids = reference.Encode(text).Select(id => id == reference.IdOf("<image>") ? LlavaTokenizer.ImageToken : id);
            Assert.Equal(Train(tokenizer, text), ids);
        }
    }

    [Fact]
    public void The_end_mark_is_the_configs_in_every_file()
    {
        var tokenizer = Tokenizer("true", """ "698": {"content": "<|im_end|>", "special": true} """, """ "eos_token": "<|im_end|>", """);
        Assert.Equal((698, "<|im_end|>"), (tokenizer.EosId, tokenizer.EosPiece));
        Write(tokenizer, 700, config => config with { Text = config.Text with { EosIds = [698, 2] } });
        foreach (var name in (string[])["tokenizer_config.json", "special_tokens_map.json"])
        {
            Assert.Equal("<|im_end|>", (string)JsonNode.Parse(File.ReadAllText(_folder["out/" + name]))!["eos_token"]!);
        }

        Write(tokenizer, 700, config => config with { Text = config.Text with { EosIds = [2] } });
        Assert.Equal("</s>", (string)JsonNode.Parse(File.ReadAllText(_folder["out/special_tokens_map.json"]))!["eos_token"]!);
    }

    internal static IEnumerable<string> Texts()
    {
        var random = new Random(11);
        return Enumerable.Range(0, 400)
            .Select(_ => string.Concat(Enumerable.Range(0, random.Next(9)).Select(_ => Fragments[random.Next(Fragments.Length)])))
            .Concat(["", " ", "<image>", "<image>What", "<image>\nWhat", " Hello", "a</s>b</s>", "Compare <image> and <image>."]);
    }

    internal static int[] Train(LlavaTokenizer tokenizer, string text)
    {
        var tokens = new PromptTokens(tokenizer, bos: true);
        tokens.Add(new PromptText(text, []), hasImage: true);
        return tokens.Ids;
    }

    private static string Added(int first) => $$"""
        "{{first}}": {"content": "<loc_1>", "normalized": true, "special": false},
        "{{first + 1}}": {"content": "<l s>", "single_word": true, "lstrip": true, "rstrip": true, "special": false},
        "{{first + 2}}": {"content": "word", "single_word": true, "normalized": true, "special": false}
        """;

    private LlavaTokenizer Tokenizer(string legacy, string decoder = "", string more = "")
    {
        _folder.Write("in/tokenizer.model", TokenizerGolden.ModelBytes("small"));
        _folder.Write("in/tokenizer_config.json", $$"""{"legacy": {{legacy}}, {{more}} "added_tokens_decoder": { {{decoder}} } }""");
        return LlavaTokenizer.Load(_folder["in"]);
    }

    private void Write(LlavaTokenizer tokenizer, int rows, Func<LlavaConfig, LlavaConfig>? change = null)
    {
        var config = TinyModel.Config(vocabulary: rows);
        config = change?.Invoke(config) ?? config;
        HuggingFaceLlavaWriter.Write(_folder["out"], new ModelExport
        {
            Config = config,
            Parameters = new TinyModel(config),
            Tokenizer = tokenizer,
            Processor = ImageProcessorConfig.Clip(28),
        });
    }
}
