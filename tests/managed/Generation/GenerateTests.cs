using System.Text.Json;
using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;
using LlavaSharp.Generation;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tests.Cli;

namespace LlavaSharp.Tests.Generation;

/// <summary>What ends an answer, and which template a model is asked with, from the command line.</summary>
public sealed class GenerateTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Model => _folder["model"];

    [Theory]
    [InlineData("llava_v0", ':', "\ncar #", "car", 8)]
    [InlineData("v0_mmtag", ':', "\ncar #", "car", 8)]
    public void A_stop_text_ends_the_answer_and_is_cut_off(string template, char last, string says, string text, int ids)
    {
        ChainModel.Write(Model, last, says);
        var (code, output, _) = Ask("--template", template);
        Assert.Equal((0, text + "\n"), (code, output));
        var answer = Json("--template", template);
        Assert.Equal((text, "stop", ids), (Text(answer, "text"), Text(answer, "finish_reason"), answer["output_ids"]!.AsArray().Count));
    }

    [Fact]
    public void A_stop_text_that_is_one_token_ends_the_answer_for_each_template_that_has_it()
    {
        // '\n' begins the answer of ChatML's formats; the mark is the vocabulary's next id, a special token.
        var mark = TinyFolders.Tokenizer.IdCount;
        ChainModel.Write(Model, '\n', "red", mark, "<|im_end|>");
        foreach (var template in (string[])["mpt", "chatml_direct", "mistral_direct"])
        {
            var answer = Json("--template", template);
            Assert.Equal(("red", "stop"), (Text(answer, "text"), Text(answer, "finish_reason")));
            Assert.Equal([ChainModel.Id('r'), ChainModel.Id('e'), ChainModel.Id('d'), mark], answer["output_ids"]!.AsArray().Select(i => (int)i!));
        }
    }

    [Fact]
    public void An_answer_that_nothing_ends_says_so()
    {
        ChainModel.Write(Model, ':', "card");
        var answer = Json("--max_new_tokens", "6");
        Assert.Equal(("carddd", "length", 6), (Text(answer, "text"), Text(answer, "finish_reason"), answer["output_ids"]!.AsArray().Count));
        Assert.Equal(
            "--max_new_tokens 2147483647: keys and values of so long an answer are kept in memory, and it does not fit an array; "
            + "use less",
            Host.Mistake("generate", "--model", Model, "--prompt", "hi", "--max_new_tokens", "2147483647"));
        ChainModel.Write(Model, ':', "card", 2);
        answer = Json("--max_new_tokens", "6");
        Assert.Equal(("card", "stop", 5), (Text(answer, "text"), Text(answer, "finish_reason"), answer["output_ids"]!.AsArray().Count));
    }

    [Theory]
    [InlineData("7")]
    [InlineData("[2, 7]")]
    [InlineData("[7, -1, 100000]")]
    public void Stop_tokens_of_either_config_count(string ids)
    {
        // 7 is the byte 4, which nothing else would end at.
        ChainModel.Write(Model, ':', "car", 7);
        EditJson("generation_config.json", json => json["eos_token_id"] = JsonNode.Parse(ids));
        Assert.Equal(("car", "stop"), (Text(Json(), "text"), Text(Json(), "finish_reason")));
        EditJson("config.json", json => json["text_config"]!["eos_token_id"] = JsonNode.Parse(ids));
        File.Delete(Path.Combine(Model, "generation_config.json"));
        Assert.Equal(("car", "stop"), (Text(Json(), "text"), Text(Json(), "finish_reason")));
        Host.Succeed("convert", "--from", Model, "--to", _folder["llava"], "--layout", "llava");
        Assert.Contains(7, LlavaConfig.Load(_folder["llava"]).Text.EosIds);
        Assert.Contains("7", File.ReadAllText(_folder["llava/generation_config.json"]));
    }

    [Theory]
    [InlineData("{\"eos_token_id\": \"x\"}", "eos_token_id = \"x\" should be a whole number")]
    [InlineData("[]", "is not a JSON object")]
    public void A_malformed_generation_config_is_one_line(string json, string part)
    {
        ChainModel.Write(Model, ':', "car", 2);
        File.WriteAllText(Path.Combine(Model, "generation_config.json"), json);
        Assert.Contains(part, Host.Mistake("generate", "--model", Model, "--prompt", "hi"));
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("train_config.json")]
    public void A_model_is_asked_with_the_template_it_was_trained_with(string file)
    {
        ChainModel.Write(Model, ':', "\ncar #");
        State(file, "llava_v0");
        var (code, output, error) = Ask();
        Assert.Equal((0, "car\n"), (code, output));
        Assert.Equal(
            $"template llava_v0: what the model was trained with ({Path.Combine(Model, file)}: conversation_template); --template takes another\n",
            error);
        (code, output, error) = Ask("--template", "v1", "--max_new_tokens", "6");
        Assert.Equal((0, "car #\n"), (code, output));
        Assert.Equal(
            $"template v1, as asked for; the model was trained with llava_v0 ({Path.Combine(Model, file)}: conversation_template)\n", error);

        // The same format by another name is worth no word, nor is LLaVA's default.
        State(file, "vicuna_v1");
        Assert.Equal("", Ask("--max_new_tokens", "1").Error);
        Assert.Equal("", Ask("--max_new_tokens", "1", "--template", "v0").Error);
        State(file, "of_another_program");
        Assert.Contains("the model's own, 'of_another_program', is not known here", Ask("--max_new_tokens", "1").Error);
    }

    [Fact]
    public void Intels_template_is_told_from_LLaVAs_of_the_same_name()
    {
        ChainModel.Write(Model, ':', "car", 2);
        _folder.Write("model/train_config.json", """{"flags":{"template":"v1"},"resolved":{"conversation_template":"v1"}}""");
        Assert.StartsWith("template itrex_v1: what", Ask().Error);
        _folder.Write("model/train_config.json", """{"flags":{"template":"v1"},"resolved":{"conversation_template":"itrex_v1"}}""");
        Assert.StartsWith("template itrex_v1: what", Ask().Error);
        _folder.Write("model/train_config.json", """{"flags":{"version":"v1","template":null},"resolved":{"conversation_template":"v1"}}""");
        Assert.Equal("", Ask().Error);
        _folder.Write("model/train_config.json", "[not json");
        Assert.Equal((0, "car\n", ""), Ask());
    }

    [Fact]
    public void A_template_is_carried_from_layout_to_layout()
    {
        ChainModel.Write(Model, ':', "\ncar #");
        State("train_config.json", "llava_v0");
        Host.Succeed("convert", "--from", Model, "--to", _folder["llava"], "--layout", "llava");
        Host.Succeed("convert", "--from", _folder["llava"], "--to", _folder["hf"], "--layout", "hf");
        Host.Succeed("convert", "--from", _folder["llava"], "--to", _folder["other"], "--layout", "hf", "--template", "v0");
        Assert.Equal("llava_v0", LlavaFields.Read(_folder["llava"]).Template);
        Assert.Equal("llava_v0", LlavaFields.Read(_folder["hf"]).Template);
        Assert.Equal("vicuna_v1", LlavaFields.Read(_folder["other"]).Template);
        Assert.StartsWith("template llava_v0: what", Host.Run("generate", "--model", _folder["hf"], "--prompt", "hi").Error);
    }

    [Fact]
    public void What_is_streamed_is_the_answer()
    {
        ChainModel.Write(Model, ':', "\ncar #");
        using var chat = new ChatModel(Model, "llava_v0");
        var pieces = new List<string>();
        Assert.Equal("car", chat.Stream("hi", null, new GenerationOptions(), pieces.Add));
        Assert.Equal("car", string.Concat(pieces));

        // A generator that a stop text has ended answers again.
        Assert.Equal("car", chat.Complete("hi", null, new GenerationOptions()).Text);
        using var source = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => chat.Stream("hi", null, new GenerationOptions(), _ => source.Cancel(), source.Token));
    }

    [Fact]
    public void A_sliding_window_is_refused_where_the_sequence_can_outgrow_it()
    {
        ChainModel.Write(Model, ':', "car", 2);
        EditJson("config.json", json =>
        {
            json["text_config"]!["model_type"] = "mistral";
            json["text_config"]!["sliding_window"] = 1000;
        });
        Assert.Equal((0, "car\n", ""), Ask());
        EditJson("config.json", json => json["text_config"]!["sliding_window"] = 300);
        Assert.Matches(
            @"^sliding_window = 300 is not supported for sequences of up to \d+ tokens; the prompt takes \d+; use --max_new_tokens \d+ or less$",
            Host.Mistake("generate", "--model", Model, "--prompt", "hi"));
        Assert.Equal((0, "car\n", ""), Ask("--max_new_tokens", "10"));
        EditJson("config.json", json => json["text_config"]!["sliding_window"] = 3);
        Assert.Matches("^sliding_window = 3 .*; the prompt alone takes .*$", Host.Mistake("generate", "--model", Model, "--prompt", "hi"));

        // A window as long as the longest context changes nothing.
        EditJson("config.json", json => json["text_config"]!["max_position_embeddings"] = 3);
        Assert.Equal((0, "car\n", ""), Ask());
    }

    private (int Code, string Out, string Error) Ask(params string[] more) =>
        Host.Run(["generate", "--model", Model, "--prompt", "hi", .. more]);

    private JsonNode Json(params string[] more)
    {
        var (code, output, error) = Ask([.. more, "--json"]);
        Assert.True(code == 0, error);
        return JsonNode.Parse(output)!;
    }

    private static string Text(JsonNode answer, string name) => (string)answer[name]!;

    private void EditJson(string file, Action<JsonNode> edit)
    {
        var path = Path.Combine(Model, file);
        var json = JsonNode.Parse(File.ReadAllText(path))!;
        edit(json);
        File.WriteAllText(path, json.ToJsonString());
    }

    private void State(string file, string template)
    {
        if (file == "config.json")
        {
            EditJson(file, json => json["conversation_template"] = template);
            return;
        }

        _folder.Write($"model/{file}", JsonSerializer.Serialize(new { flags = new { }, resolved = new { conversation_template = template } }));
    }
}
