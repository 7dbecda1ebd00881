using System.Text.Json;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Tokenization;

public sealed class LlavaTokenizerTests
{
    [Theory]
    [InlineData("small")]
    [InlineData("large")]
    public void Encodes_and_decodes_as_SentencePiece_does(string model)
    {
        var tokenizer = TokenizerGolden.Load(model);
        var checkedStrings = 0;
        foreach (var line in TokenizerGolden.EncodeLines())
        {
            using var document = JsonDocument.Parse(line);
            var root = document.RootElement;
            if (root.GetProperty("model").GetString() != model)
            {
                continue;
            }

            var text = root.GetProperty("text").GetString()!;
            int[] ids = [.. root.GetProperty("ids").EnumerateArray().Select(e => e.GetInt32())];
            Assert.Equal(ids, tokenizer.Encode(text));
            var decoded = root.TryGetProperty("decoded", out var d) ? d.GetString() : text;
            Assert.Equal(decoded, tokenizer.Decode(ids));
            checkedStrings++;
        }

        Assert.True(checkedStrings > 300);
    }

    [Fact]
    public void Special_ids_are_the_models()
    {
        var tokenizer = TokenizerGolden.Load("small");
        Assert.Equal((0, 1, 2, "</s>"), (tokenizer.UnknownId, tokenizer.BosId, tokenizer.EosId, tokenizer.EosPiece));
        Assert.Equal(698, tokenizer.PieceCount);
        Assert.True(tokenizer.AddBos);
        Assert.Equal(TokenizerGolden.ModelBytes("small"), tokenizer.ModelBytes);
    }

    [Fact]
    public void Text_never_becomes_a_control_or_byte_piece_even_if_merges_could_spell_it()
    {
        var model = new SentencePieceModel
        {
            ModelType = 2,
            ByteFallback = true,
            NormalizerName = "identity",
            RemoveExtraWhitespaces = false,
        };
        model.Pieces.Add(new("<unk>", 0, SentencePieceType.Unknown));
        model.Pieces.Add(new("<s>", 0, SentencePieceType.Control));
        model.Pieces.Add(new("</s>", 0, SentencePieceType.Control));
        for (var b = 0; b < 256; b++)
        {
            model.Pieces.Add(new($"<0x{b:X2}>", 0, SentencePieceType.Byte));
        }

        foreach (var piece in new[] { "</", "s>", "<0", "<0x", "0A", "0A>", "<", "/", "s", ">", "0", "x", "A", "\u2581" })
        {
            model.Pieces.Add(new(piece, 259 - model.Pieces.Count, SentencePieceType.Normal));
        }

        var tokenizer = LlavaTokenizer.FromBytes(model.ToBytes(1, 16), legacy: true);
        int Id(string piece) => model.Pieces.FindIndex(p => p.Text == piece);
        Assert.Equal([Id("\u2581"), Id("</"), Id("s>")], tokenizer.Encode("</s>"));
        Assert.Equal([Id("\u2581"), Id("<0x"), Id("0A>")], tokenizer.Encode("<0x0A>"));
        Assert.Equal([Id("\u2581"), Id("<"), Id("s>")], tokenizer.Encode("<s>"));
    }

    [Fact]
    public void Decode_skips_what_is_no_text_and_replaces_broken_bytes_one_by_one()
    {
        var tokenizer = TokenizerGolden.Load("small");
        Assert.Equal("", tokenizer.Decode([]));
        Assert.Equal("", tokenizer.Decode([0, 1, 2, -200, -1, 698, 700, int.MaxValue, int.MinValue]));
        int[] hello = [1, LlavaTokenizer.ImageToken, .. tokenizer.Encode("Hello"), 2, 699];
        Assert.Equal("Hello", tokenizer.Decode(hello));

        // Byte b has id 3 + b. A cut emoji: three bytes of four; then an overlong form; then a surrogate.
        Assert.Equal("\ufffd\ufffd\ufffdA", tokenizer.Decode([3 + 0xF0, 3 + 0x9F, 3 + 0x99, 3 + 'A']));
        Assert.Equal("\ufffd\ufffd", tokenizer.Decode([3 + 0xC0, 3 + 0x80]));
        Assert.Equal("\ufffd\ufffd\ufffd", tokenizer.Decode([3 + 0xED, 3 + 0xA0, 3 + 0x80]));
    }

    [Fact]
    public void Long_text_encodes_and_comes_back()
    {
        var tokenizer = TokenizerGolden.Load("large");
        var text = string.Concat(Enumerable.Repeat("The program is free software; 東京 🙂\n", 2000));
        Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
    }

    [Fact]
    public void Threads_may_share_one_tokenizer()
    {
        var tokenizer = TokenizerGolden.Load("large");
        var expected = tokenizer.Encode("This program is free software: you can redistribute it.");
        Parallel.For(0, 500, _ =>
            Assert.Equal(expected, tokenizer.Encode("This program is free software: you can redistribute it.")));
    }

    [Fact]
    public void Reads_the_files_beside_the_model()
    {
        using var folder = new TempFolder();
        folder.Write("tokenizer.model", TokenizerGolden.ModelBytes("small"));
        var alone = LlavaTokenizer.Load(folder.Path);
        Assert.True(alone.Legacy);
        Assert.True(alone.AddBos);
        Assert.Empty(alone.AddedTokens);

        folder.Write("added_tokens.json", """{"<pad>": 699}""");
        folder.Write("tokenizer_config.json", """
            {"legacy": false, "add_bos_token": false, "add_eos_token": null,
             "added_tokens_decoder": {"698": {"content": "<image>", "special": true}}}
            """);
        var tokenizer = LlavaTokenizer.Load(Path.Combine(folder.Path, "tokenizer.model"));
        Assert.False(tokenizer.Legacy);
        Assert.False(tokenizer.AddBos);
        Assert.Equal(698, tokenizer.AddedTokens["<image>"]);
        Assert.Equal(699, tokenizer.AddedTokens["<pad>"]);
        Assert.DoesNotContain(698, tokenizer.Encode("<image>"));
    }

    [Theory]
    [InlineData("tokenizer_config.json", "{\"legacy\": 1}", "legacy is 1, not true or false")]
    [InlineData("tokenizer_config.json", "{\n \"legacy\": tru}", "line 2, byte")]
    [InlineData("tokenizer_config.json", "[]", "not a JSON object")]
    [InlineData("tokenizer_config.json", "", "not valid JSON")]
    [InlineData("tokenizer_config.json", "{\"add_eos_token\": true}", "set it to false")]
    [InlineData("tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": {}}}", "entry \"x\"")]
    [InlineData("added_tokens.json", "{\"<pad>\": \"a\"}", "the id of \"<pad>\" is \"a\"")]
    public void Refuses_damaged_neighbours(string name, string text, string expected)
    {
        using var folder = new TempFolder();
        folder.Write("tokenizer.model", TokenizerGolden.ModelBytes("small"));
        folder.Write(name, text);
        ExpectLine(() => LlavaTokenizer.Load(folder.Path), name, expected);
    }

    [Fact]
    public void Refuses_missing_and_foreign_files()
    {
        using var folder = new TempFolder();
        ExpectLine(() => LlavaTokenizer.Load(folder.Path), "tokenizer.model: no such file; give a model folder");
        ExpectLine(() => LlavaTokenizer.Load(Path.Combine(folder.Path, "x.model")), "x.model: no such file");
        folder.Write("tokenizer.json", "{}");
        ExpectLine(() => LlavaTokenizer.Load(folder.Path), "tokenizer.json: this tokenizer has no \"model\"");
        folder.Write("tokenizer.model", "");
        ExpectLine(() => LlavaTokenizer.Load(folder.Path), "has no pieces");
        folder.Write("tokenizer.model", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 499723\n");
        ExpectLine(() => LlavaTokenizer.Load(folder.Path), "tokenizer.model' is a Git LFS pointer", "of 499723 bytes", "git lfs pull");
        folder.Write("tokenizer.model", "<html>no model</html>");
        ExpectLine(() => LlavaTokenizer.Load(folder.Path), "tokenizer.model' is a web page in place of the file");
        folder.Write("tokenizer.model", "no model");
        ExpectLine(() => LlavaTokenizer.Load(folder.Path), "not a SentencePiece model, or damaged");
    }

    [Fact]
    public void Every_truncation_is_refused_or_harmless()
    {
        var bytes = TokenizerGolden.ModelBytes("small");
        for (var length = 0; length < bytes.Length; length += 97)
        {
            ExpectLine(() => LlavaTokenizer.FromBytes(bytes[..length], legacy: true), "tokenizer.model");
        }
    }

    [Fact]
    public void Hostile_bytes_end_in_a_line_not_in_a_crash()
    {
        var bytes = TokenizerGolden.ModelBytes("small");
        var random = new Random(5);
        for (var trial = 0; trial < 200; trial++)
        {
            byte[] broken = [.. bytes];
            for (var k = 0; k < 4; k++)
            {
                broken[random.Next(broken.Length)] = (byte)random.Next(256);
            }

            try
            {
                var tokenizer = LlavaTokenizer.FromBytes(broken, legacy: true);
                tokenizer.Decode(tokenizer.Encode("Hello 東京 </s>"));
            }
            catch (UserErrorException e)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
        }
    }

    [Fact]
    public void Refuses_models_that_would_encode_otherwise()
    {
        Refuse(m => m.ModelType = 1, "model_type 1; only BPE");
        Refuse(m => m.ByteFallback = false, "has no byte fallback");
        Refuse(m => m.RemoveExtraWhitespaces = true, "removes extra spaces");
        Refuse(m => m.EscapeWhitespaces = false, "does not escape spaces");
        Refuse(m => m.WhitespaceAsSuffix = true, "spaces after words");
        Refuse(m => (m.BosId, m.EosId) = (2, 5), "has eos_id 5");
        Refuse(m => m.Pieces[300] = m.Pieces[300] with { Text = "" }, "has piece 300 empty or twice");
        Refuse(m => m.Pieces[300] = m.Pieces[301], "has piece 301 empty or twice");
        Refuse(m => m.Pieces[300] = m.Pieces[300] with { Score = float.NaN }, "has piece 300 with score NaN");
        Refuse(m => m.Pieces[300] = m.Pieces[300] with { Type = (SentencePieceType)9 }, "has piece 300 of no known type");
        Refuse(m => m.Pieces[300] = m.Pieces[300] with { Type = SentencePieceType.UserDefined }, "user-defined or unused piece (id 300)");
        Refuse(m => m.Pieces[20] = m.Pieces[20] with { Text = "zzz" }, "lacks <0x11> at id 20");
    }

    private static void Refuse(Action<SentencePieceModel> change, string expected)
    {
        var model = SentencePieceModel.Parse(TokenizerGolden.ModelBytes("small"));
        change(model);
        var bytes = model.ToBytes(1, 16);
        ExpectLine(() => LlavaTokenizer.FromBytes(bytes, legacy: true), expected);
    }

    private static void ExpectLine(Func<object> action, params string[] expected)
    {
        var message = Assert.Throws<UserErrorException>(action).Message;
        Assert.DoesNotContain('\n', message);
        Assert.All(expected, part => Assert.Contains(part, message, StringComparison.Ordinal));
    }
}
