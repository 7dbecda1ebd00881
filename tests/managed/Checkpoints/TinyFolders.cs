using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>The tiny model in each layout, and what an engine computes from a folder.</summary>
internal static class TinyFolders
{
    public static readonly LlavaTokenizer Tokenizer = LlavaTokenizer.FromBytes(TinyTokenizer.Bytes(), legacy: true);

    public static LlavaConfig Config(string projector = "mlp2x_gelu") => TinyModel.Config(projector, Tokenizer.PieceCount);

    public static ModelExport Export(LlavaConfig config, TensorType type = TensorType.F32) => new()
    {
        Config = config,
        Parameters = new TinyModel(config),
        Tokenizer = Tokenizer,
        Processor = ImageProcessorConfig.Clip(28),
        Type = type,
    };

    /// <summary>Writes a language model and a CLIP tower as folders of their own.</summary>
    public static void WriteParts(string language, string clip, LlavaConfig config)
    {
        HuggingFacePartsWriter.WriteLanguageModel(language, config.Text, new TinyModel(config), Tokenizer);
        HuggingFacePartsWriter.WriteVisionTower(clip, config.Vision!, new TinyModel(config), ImageProcessorConfig.Clip(28));
    }

    /// <summary>[T, first V] logits of a short prompt with one picture of noise.</summary>
    public static float[] Logits(Engine engine, ModelParts parts)
    {
        using LoadedModel loaded = ModelLoader.Load(engine, parts);
        return Logits(loaded.Model);
    }

    public static float[] Logits(Model model)
    {
        int rows = model.Config.ImageRows, tokens = rows + 5, width = model.Config.Vocabulary, kept = Tokenizer.PieceCount;
        var random = new Random(5);
        int[] ids = [.. Enumerable.Range(0, tokens).Select(i => i == 0 ? 1 : 3 + (i * 7 % 200))];
        var batch = new PackedBatch
        {
            Tokens = ids,
            Positions = Enumerable.Range(0, tokens).ToArray(),
            CuSeqlens = (int[])[0, tokens],
            ImageSlots = Enumerable.Range(2, rows).ToArray(),
            Pixels = Enumerable.Range(0, 3 * model.Config.ImageSize * model.Config.ImageSize)
                .Select(_ => random.NextSingle() - 0.5f)
                .ToArray(),
        };
        float[] logits = new float[tokens * width];
        model.RunLogits(batch, [.. Enumerable.Range(0, tokens)], logits);
        return [.. Enumerable.Range(0, tokens).SelectMany(row => logits.Skip(row * width).Take(kept))];
    }

    /// <summary>Every file of a folder and its subfolders, with its bytes as text.</summary>
    public static Dictionary<string, string> Files(string folder) => Directory
        .GetFiles(folder, "*", SearchOption.AllDirectories)
        .ToDictionary(file => Path.GetRelativePath(folder, file), file => Convert.ToHexString(File.ReadAllBytes(file)));
}
