using System.Text;
using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Tests.Checkpoints;

namespace LlavaSharp.Tests.Generation;

/// <summary>
/// A model that says what a test wants: each token of a chain makes the next the likeliest, whatever came before. Attention and MLPs
/// add nothing; a token's embedding has a place of its own, which the head of the token that follows reads. No token may stand twice
/// in a chain, but the last may follow itself.
/// </summary>
internal static class ChainModel
{
    private const int Width = 32;

    /// <summary>Writes the model's folder in transformers' layout.</summary>
    /// <param name="folder">Where to.</param>
    /// <param name="last">The last character of the prompt, which the chain begins behind.</param>
    /// <param name="says">Characters of the answer, each a byte of the tokenizer.</param>
    /// <param name="then">Id that follows: 2 is the end of sentence; null repeats the last character.</param>
    /// <param name="tokens">Texts of special tokens behind the tokenizer's own ids.</param>
    public static void Write(string folder, char last, string says, int? then = null, params string[] tokens)
    {
        var (shape, tokenizer) = (TinyFolders.Config(), TinyFolders.Tokenizer.WithTokens(tokens));
        var config = shape with
        {
            Text = shape.Text with { HiddenSize = Width, HeadDim = Width / 2, VocabularySize = tokenizer.IdCount },
        };
        int[] chain = [.. (last + says).Select(Id), .. then is { } id ? [id] : Array.Empty<int>()];
        var model = new TinyModel(config);
        for (var layer = 0; layer < config.Text.LayerCount; layer++)
        {
            model.Replaced[$"layer.{layer}.self_attn.o_proj.weight"] = new float[Width * Width];
            model.Replaced[$"layer.{layer}.mlp.down_proj.weight"] = new float[Width * config.Text.IntermediateSize];
        }

        float[] embed = new float[config.Text.VocabularySize * Width], head = new float[embed.Length];
        for (var i = 0; i < chain.Length; i++)
        {
            embed[(chain[i] * Width) + i] = 1;
            head[(chain[Math.Min(i + 1, chain.Length - 1)] * Width) + i] = 5;
        }

        model.Replaced["embed.weight"] = embed;
        model.Replaced["head.weight"] = head;
        model.Replaced["head.norm.weight"] = [.. Enumerable.Repeat(1f, Width)];
        HuggingFaceLlavaWriter.Write(folder, new()
        {
            Config = config,
            Parameters = model,
            Tokenizer = tokenizer,
            Processor = ImageProcessorConfig.Clip(28),
        });
    }

    /// <summary>The id of a character's byte.</summary>
    public static int Id(char character) => 3 + Encoding.UTF8.GetBytes([character]).Single();
}
