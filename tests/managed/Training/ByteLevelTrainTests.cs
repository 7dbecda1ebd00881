using LlavaSharp.Checkpoints;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Tests.Tokenization;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Training;

/// <summary>A language model with a byte-level tokenizer (Llama 3's kind), from its folder to what training leaves.</summary>
public sealed class ByteLevelTrainTests : IDisposable
{
    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData("llama3")]
    [InlineData("qwen")]
    [InlineData("gpt2")]
    public void A_written_tokenizer_gives_the_same_ids(string name)
    {
        var tokenizer = Folder(name);
        var written = LlavaTokenizer.Load(_tiny["lm"]);
        Assert.Equal((tokenizer.BosId, tokenizer.EosId, tokenizer.IdCount, tokenizer.AddBos),
            (written.BosId, written.EosId, written.IdCount, written.AddBos));
        foreach (var text in (string[])["", " a  red\ncar's 1234 \u00e9\u4e16", tokenizer.EosPiece + "x"])
        {
            Assert.Equal(tokenizer.EncodeWithSpecial(text), written.EncodeWithSpecial(text));
        }
    }

    [Fact]
    public void Stage_2_writes_a_folder_that_asks_converts_and_goes_on()
    {
        var tokenizer = Folder("llama3");
        string[] language = ["--model_name_or_path", _tiny["lm"], "--max_steps", "2"];
        Host.Succeed(_tiny.Stage2(_tiny["out"], language));
        var written = LlavaTokenizer.Load(_tiny["out"]);
        Assert.Equal(tokenizer.IdCount, written.AddedTokens["<image>"]);
        Assert.Equal(tokenizer.IdCount + 1, written.AddedTokens["<pad>"]);
        Host.Succeed("convert", "--from", _tiny["out"], "--to", _tiny["llava"], "--layout", "llava");
        Assert.DoesNotContain("<image>", LlavaTokenizer.Load(_tiny["llava"]).AddedTokens.Keys);
        Assert.Equal(Ask(_tiny["out"]), Ask(_tiny["llava"]));
        Host.Succeed(_tiny.Stage2(_tiny["lora"], [.. language, "--lora_enable", "True", "--lora_r", "2"]));
        Host.Succeed("merge-lora", "--model", _tiny["lm"], "--adapter", _tiny["lora"], "--output", _tiny["merged"], "--vision_tower", _tiny.Clip);
        Assert.Contains(",-200,", Ask(_tiny["merged"]));
        Assert.Contains("this model's is a byte-level BPE", Host.Mistake("convert", "--from", _tiny["out"], "--to", _tiny["gguf"], "--layout", "gguf"));
    }

    private LlavaTokenizer Folder(string name)
    {
        var tokenizer = TokenizerGolden.LoadByteLevel(name);
        var config = TinyModel.Config(vocabulary: tokenizer.IdCount);
        HuggingFacePartsWriter.WriteLanguageModel(_tiny["lm"], config.Text, new TinyModel(config), tokenizer);
        return tokenizer;
    }

    private string Ask(string model)
    {
        var (code, answer, error) = Host.Run(
            "generate", "--model", model, "--image", Path.Combine(_tiny.Images, "1.png"), "--prompt", "Colour?", "--max_new_tokens", "3", "--json");
        Assert.True(code == 0, error);
        return answer;
    }
}
