using System.Text.Json;
using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Training;

/// <summary>A folder with a tiny LLaMA, a tiny CLIP, a few drawn pictures, captions and conversations: what a stage needs.</summary>
internal sealed class TinyRun : IDisposable
{
    private readonly TempFolder _folder = new();

    public TinyRun(LlavaConfig? shape = null)
    {
        var config = shape ?? TinyModel.Config();
        var model = new TinyModel(config);
        var tokenizer = LlavaTokenizer.FromBytes(TinyTokenizer.Bytes(), legacy: true);
        HuggingFacePartsWriter.WriteLanguageModel(Llama, config.Text, model, tokenizer);
        HuggingFacePartsWriter.WriteVisionTower(Clip, config.Vision!, model, ImageProcessorConfig.Clip(28));
        Directory.CreateDirectory(Images);
        for (var i = 0; i < 3; i++)
        {
            var (width, height) = (20 + (9 * i), 40 - (7 * i));
            var pixels = Enumerable.Range(0, width * height * 3).Select(p => (byte)((p * (i + 3)) % 251)).ToArray();
            var image = new RgbImage(width, height, pixels);
            File.WriteAllBytes(Path.Combine(Images, $"{i}.png"), ImageEncoder.Png(image));
        }

        Captions = Write("captions.json", Enumerable.Range(0, 6).Select(i => Sample($"c{i}", $"{i % 3}.png", "<image>\nWhat?", $"a red car {i}")));
        Talks = Write("talks.json", Enumerable.Range(0, 6).Select(i => i % 3 == 2
            ? Sample($"t{i}", null, "Say it", "abcd")
            : Sample($"t{i}", $"{i % 3}.png", "<image>\nColour?", "red", "And?", "a car")));
    }

    public string Llama => _folder["llama"];

    public string Clip => _folder["clip"];

    public string Images => _folder["images"];

    public string Captions { get; }

    public string Talks { get; }

    public string this[string name] => _folder[name];

    public string WriteText(string name, string text) => _folder.Write(name, text);

    public string Write(string name, IEnumerable<object> samples) => _folder.Write(name, JsonSerializer.Serialize(samples));

    public static object Sample(string id, string? image, params string[] turns)
    {
        var conversations = turns.Select((t, i) => new Dictionary<string, string> { ["from"] = i % 2 == 0 ? "human" : "gpt", ["value"] = t });
        var sample = new Dictionary<string, object> { ["id"] = id, ["conversations"] = conversations };
        if (image is not null)
        {
            sample["image"] = image;
        }

        return sample;
    }

    /// <summary>Arguments of a stage-1 run, then what a test adds or overrides.</summary>
    public string[] Stage1(string output, params string[] more) =>
    [
        "train", "--tune_mm_mlp_adapter", "True", "--version", "plain", "--model_name_or_path", Llama, "--vision_tower", Clip,
        "--data_path", Captions, "--image_folder", Images, "--output_dir", output, "--per_device_train_batch_size", "2",
        "--gradient_accumulation_steps", "2", "--num_train_epochs", "4", "--learning_rate", "1e-2", "--warmup_ratio", "0.03", .. more,
    ];

    /// <summary>Arguments of a stage-2 run, then what a test adds or overrides.</summary>
    public string[] Stage2(string output, params string[] more) =>
    [
        "train", "--version", "v1", "--model_name_or_path", Llama, "--vision_tower", Clip, "--data_path", Talks, "--image_folder", Images,
        "--image_aspect_ratio", "pad", "--group_by_modality_length", "True", "--sampler", "recipe", "--output_dir", output,
        "--per_device_train_batch_size", "3",
        "--num_train_epochs", "4", "--learning_rate", "1e-2", "--warmup_ratio", "0.03", "--model_max_length", "2048", .. more,
    ];

    public void Dispose() => _folder.Dispose();
}
