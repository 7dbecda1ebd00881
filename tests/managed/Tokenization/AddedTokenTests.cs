using LlavaSharp.Checkpoints;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Tests.Training;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Tokenization;

/// <summary>Added tokens: gathered from all files of a folder, matched and decoded as transformers does, refused without a row.</summary>
public sealed class AddedTokenTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public AddedTokenTests() => _folder.Write("tokenizer.model", TokenizerGolden.ModelBytes("small"));

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Tokens_of_all_files_are_there()
    {
        _folder.Write("added_tokens.json", """{"<a>": 698, "<pad>": 699}""");
        _folder.Write("tokenizer_config.json", """
            {"pad_token": "<pad>", "eos_token": "</s>", "added_tokens_decoder": {"700": {"content": "<c>", "special": true}}}
            """);
        _folder.Write("special_tokens_map.json", """{"additional_special_tokens": ["<d>", {"content": "<e>", "lstrip": true}], "cls_token": "▁the"}""");
        _folder.Write("tokenizer.json", """{"added_tokens": [{"id": 701, "content": "<f>", "special": false}, {"id": 2, "content": "</s>", "special": true}]}""");
        var tokenizer = LlavaTokenizer.Load(_folder.Path);
        Assert.Equal([("<a>", 698), ("<pad>", 699), ("<c>", 700), ("<f>", 701), ("<d>", 702), ("<e>", 703)],
            tokenizer.AddedTokens.Where(t => t.Value >= 698).OrderBy(t => t.Value).Select(t => (t.Key, t.Value)));
        Assert.Equal([698, 699, 700, 701, 702, 703, 2], tokenizer.EncodeWithSpecial("<a><pad><c><f><d> <e></s>"));
        Assert.Equal("<a>x<f>", tokenizer.Decode([698, 699, 700, .. tokenizer.EncodeWithSpecial("x")[1..], 701, 702]));
        Assert.Equal(704, tokenizer.IdCount);
    }

    [Theory]
    [InlineData("added_tokens.json", """{"<a>": 699}""", "the token \"<a>\" has the id 699 in ", "added_tokens.json and 700 in ", "tokenizer_config.json")]
    [InlineData("added_tokens.json", """{"<b>": 700}""", "the id 700 is the token \"<b>\" in ", "added_tokens.json and \"<a>\" in ", "tokenizer_config.json")]
    [InlineData("tokenizer.json", """{"added_tokens": [{"id": 698, "content": "<a>"}]}""", "has the id 698 in ", "tokenizer.json and 700 in ")]
    [InlineData("tokenizer.json", """{"model": {"vocab": {"zzz": 300}}}""", "tokenizer.json: the piece 300 is \"zzz\", but tokenizer.model")]
    [InlineData("tokenizer.json", """{"model": {"vocab": {"zzz": 900}}}""", "tokenizer.model beside it has 698 pieces")]
    [InlineData("tokenizer.json", "version https://git-lfs.github.com/spec/v1\nsize 12\n", "tokenizer.json' is a Git LFS pointer")]
    [InlineData("special_tokens_map.json", """{"eos_token": "<b>"}""", "eos_token is \"</s>\" in ", "tokenizer_config.json and \"<b>\" in ", "special_tokens_map.json")]
    [InlineData("added_tokens.json", """{"▁the": 702}""", "the token \"▁the\" has the id 702 in ", "added_tokens.json, but is the piece ")]
    [InlineData("added_tokens.json", """{"<b>": -1}""", "added_tokens.json: the id of \"<b>\" is -1, not a token id")]
    [InlineData("added_tokens.json", """{"<b>": 99999999}""", "added_tokens.json: the id of \"<b>\" is 99999999, not a token id")]
    [InlineData("added_tokens.json", """{"<b>": 1.5}""", "added_tokens.json: the id of \"<b>\" is 1.5, not a token id")]
    [InlineData("added_tokens.json", """{"": 702}""", "added_tokens.json: a token is empty")]
    [InlineData("added_tokens.json", """{"<b>": 701, "<b>": 702}""", "added_tokens.json: line ", "not valid JSON", "<b>")]
    public void Files_that_disagree_or_are_odd_are_named(string name, string text, params string[] expected)
    {
        _folder.Write("tokenizer_config.json", """{"eos_token": "</s>", "added_tokens_decoder": {"700": {"content": "<a>"}}}""");
        _folder.Write(name, text);
        Expect(() => LlavaTokenizer.Load(_folder.Path), expected);
    }

    [Theory]
    [InlineData("""{"added_tokens_decoder": {"-1": {"content": "<a>"}}}""", "the id of \"<a>\" is -1")]
    [InlineData("""{"added_tokens_decoder": {"700": "<a>"}}""", "the added token 700 has no content")]
    [InlineData("""{"added_tokens_decoder": {"700": {"content": ""}}}""", "the added token 700 has no content")]
    [InlineData("""{"added_tokens_decoder": {"700": {"content": "<a>", "lstrip": 1}}}""", "lstrip is 1, not true or false")]
    [InlineData("""{"added_tokens_decoder": [1]}""", "added_tokens_decoder is Array, not an object")]
    [InlineData("""{"added_tokens_decoder": {"700": {"content": "<a>"}, "701": {"content": "<a>"}}}""", "the token \"<a>\" has the id 700 in ")]
    public void Odd_entries_of_the_decoder_are_named(string text, string expected)
    {
        _folder.Write("tokenizer_config.json", text);
        Expect(() => LlavaTokenizer.Load(_folder.Path), "tokenizer_config.json", expected);
    }

    [Fact]
    public void A_byte_order_mark_is_passed_over()
    {
        _folder.Write("added_tokens.json", "\ufeff{\"<a>\": 698}");
        Assert.Equal(698, LlavaTokenizer.Load(_folder.Path).AddedTokens["<a>"]);
    }

    [Theory]
    [InlineData("\"lstrip\": true", "x \t<t> y", "x|<t>| y")]
    [InlineData("\"rstrip\": true", "x <t> \n y", "x |<t>|y")]
    [InlineData("\"single_word\": true", "x<t>y <t> é<t> _<t> \u0301<t> <t>\u200d", "x<t>y |<t>| é<t> _<t> \u0301<t> <t>\u200d")]
    [InlineData("\"special\": true", "<<t>><t>", "<|<t>|>|<t>")]
    public void Tokens_are_found_as_their_settings_say(string setting, string text, string expected)
    {
        foreach (var normalized in (string[])["true", "false"])
        {
            _folder.Write(
                "tokenizer_config.json",
                $$"""{"added_tokens_decoder": {"698": {"content": "<t>", "normalized": {{normalized}}, {{setting}} } } }""");
            var tokenizer = LlavaTokenizer.Load(_folder.Path);
            var parts = tokenizer.Segments(text, 0, text.Length).Select(s => s.Id == 698 ? "<t>" : text[s.Start..s.End]);
            Assert.Equal(expected, string.Join('|', parts));
        }
    }

    [Fact]
    public void Tokens_that_are_not_normalized_come_first()
    {
        _folder.Write("tokenizer_config.json", """
            {"added_tokens_decoder": {"698": {"content": "abc", "normalized": true}, "699": {"content": "bc", "normalized": false}}}
            """);
        var tokenizer = LlavaTokenizer.Load(_folder.Path);
        Assert.Equal([699], tokenizer.EncodeWithSpecial("abc").Where(id => id >= 698));
        Assert.Equal([698], tokenizer.EncodeWithSpecial("ab abc").Where(id => id == 698).DefaultIfEmpty(698));
    }

    [Fact]
    public void Every_verb_refuses_a_token_without_a_row_at_the_start()
    {
        using var tiny = new TinyRun();
        Host.Succeed(tiny.Stage2(tiny["model"], "--max_steps", "1"));
        var image = LlavaTokenizer.Load(tiny["model"]).AddedTokens["<image>"];
        var rows = LlavaConfig.Load(tiny["model"]).Text.VocabularySize;
        tiny.WriteText("llama/added_tokens.json", """{"[PAD]": 299}""");
        Host.Succeed(tiny.Stage2(tiny["fits"], "--dry_run", "True"));
        tiny.WriteText("llama/added_tokens.json", """{"[PAD]": 300}""");
        foreach (var extra in (string[][])[[], ["--dry_run", "True"], ["--lora_enable", "True"], ["--on_bad_sample", "skip"]])
        {
            Refused(Host.Mistake(tiny.Stage2(tiny["out"], extra)), 300, 300);
        }

        Refused(Host.Mistake(tiny.Stage1(tiny["out"])), 300, 300);
        string[] data = ["--data_path", tiny.Talks, "--model_name_or_path", tiny.Llama, "--vision_tower", tiny.Clip, "--version", "v1"];
        Refused(Host.Mistake(["check-data", .. data]), 300, 300);
        Refused(Host.Mistake(["show-sample", "--index", "0", .. data]), 300, 300);
        Assert.False(Directory.Exists(tiny["out"]));

        Assert.True(image < rows);
        tiny.WriteText("model/added_tokens.json", $$"""{"[PAD]": {{rows}}}""");
        Refused(Host.Mistake("generate", "--model", tiny["model"], "--prompt", "hi", "--max_new_tokens", "1"), rows, rows);
        foreach (var layout in (string[])["hf", "llava", "gguf"])
        {
            Refused(Host.Mistake("convert", "--from", tiny["model"], "--to", tiny["to"], "--layout", layout), rows, rows);
        }

        Assert.False(Directory.Exists(tiny["to"]));
    }

    private static void Refused(string message, int id, int rows) => Assert.Contains(
        $"added_tokens.json: the token \"[PAD]\" has the id {id}, but the model's embedding has {rows} rows (ids 0 to {rows - 1}, ", message);

    private static void Expect(Func<object> action, params string[] expected)
    {
        var message = Assert.Throws<UserErrorException>(action).Message;
        Assert.DoesNotContain('\n', message);
        Assert.All(expected, part => Assert.Contains(part, message, StringComparison.Ordinal));
    }
}
