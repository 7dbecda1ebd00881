using System.Runtime.InteropServices;
using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;

namespace LlavaSharp.Demo;

/// <summary>
/// The demo's tiny models. The tower is random and stays frozen: with weights of unit scale (each output of a product about
/// as large as its inputs) it is a fixed, rich code of every patch. At Hugging Face's deviation of 0.02 the picture would
/// vanish behind the position embeddings.
/// </summary>
internal static class DemoModel
{
    /// <summary>Shape of the tower: 56 pixels, 16 patches.</summary>
    public static VisionConfig Vision { get; } = new()
    {
        HiddenSize = 128,
        IntermediateSize = 256,
        LayerCount = 2,
        HeadCount = 4,
        ImageSize = 56,
        PatchSize = 14,
        ProjectionDim = 128,
    };

    /// <summary>Shape of the language model.</summary>
    /// <param name="vocabulary">Pieces of its tokenizer.</param>
    public static TextConfig Text(int vocabulary) => new()
    {
        VocabularySize = vocabulary,
        HiddenSize = 128,
        IntermediateSize = 344,
        LayerCount = 4,
        HeadCount = 4,
        KeyValueHeadCount = 4,
        HeadDim = 32,
        MaxPositions = 512,
        RmsNormEpsilon = 1e-5,
    };

    /// <summary>The engine's config of the language model alone.</summary>
    /// <param name="text">Its shape.</param>
    public static ModelConfig LanguageModel(TextConfig text) => new()
    {
        Hidden = text.HiddenSize,
        Layers = text.LayerCount,
        Heads = text.HeadCount,
        KvHeads = text.KeyValueHeadCount,
        HeadDim = text.HeadDim,
        Intermediate = text.IntermediateSize,
        Vocabulary = text.VocabularySize,
        NormEps = text.RmsNormEpsilon,
        RopeTheta = text.RopeTheta,
    };

    /// <summary>Draws the language model's weights.</summary>
    /// <param name="model">A model without a tower.</param>
    /// <param name="seed">Same seed, same weights.</param>
    public static void InitialiseLanguageModel(Model model, int seed)
    {
        foreach (ParameterInfo parameter in model.Parameters)
        {
            double inverse = 1 / Math.Sqrt(parameter.Shape[^1]);
            if (parameter.Shape.Length == 1)
            {
                model.Fill(parameter.Name, Fill.Constant, 1, 0, seed);
                continue;
            }

            // Deviations tried for the fastest start: strong embeddings, and layers that add little to them at first.
            double deviation = parameter.Name switch
            {
                "embed.weight" => 0.5,
                "head.weight" => 0.05,
                _ when parameter.Name.EndsWith("o_proj.weight", StringComparison.Ordinal) => 0.35 * inverse,
                _ when parameter.Name.EndsWith("down_proj.weight", StringComparison.Ordinal) => 0.35 * inverse,
                _ => inverse,
            };
            model.Fill(parameter.Name, Fill.Normal, 0, deviation, seed);
        }
    }

    /// <summary>Writes the random tower as a Hugging Face CLIP folder.</summary>
    /// <param name="engine">Draws the weights.</param>
    /// <param name="folder">Where to.</param>
    /// <param name="seed">Same seed, same weights.</param>
    public static void WriteClip(Engine engine, string folder, int seed)
    {
        // The engine makes whole models only: the decoder beside the tower is as small as can be.
        TextConfig least = new()
        {
            VocabularySize = 1,
            HiddenSize = 2,
            IntermediateSize = 1,
            LayerCount = 1,
            HeadCount = 1,
            KeyValueHeadCount = 1,
            HeadDim = 2,
        };
        using Model model = new(engine, LanguageModel(least) with
        {
            VisionHidden = Vision.HiddenSize,
            VisionLayers = Vision.LayerCount,
            VisionHeads = Vision.HeadCount,
            VisionIntermediate = Vision.IntermediateSize,
            VisionFeatureLayer = -1,
            ImageSize = Vision.ImageSize,
            PatchSize = Vision.PatchSize,
        });
        List<TensorSource> tensors = [];
        foreach (ParameterInfo parameter in model.Parameters.Where(p => p.Kind == UnitKinds.Vision))
        {
            InitialiseTower(model, parameter, seed);
            tensors.Add(TensorSource.FromFloats(
                ParameterNames.FromCanonical(parameter.Name, ParameterNaming.Clip), parameter.Shape, model.Read(parameter.Name)));
        }

        Directory.CreateDirectory(folder);
        SafetensorsWriter.WriteSharded(folder, tensors);
        AtomicFile.WriteText(Path.Combine(folder, "config.json"), Vision.ToJson().ToJsonString(ConfigJson.WriteOptions));
        AtomicFile.WriteText(Path.Combine(folder, ImageProcessorConfig.FileName), ImageProcessorConfig.Clip(Vision.ImageSize).ToJson());
    }

    /// <summary>Writes the language model as a Hugging Face LLaMA folder.</summary>
    /// <param name="model">A model without a tower.</param>
    /// <param name="text">Its shape.</param>
    /// <param name="tokenizer">The bytes of tokenizer.model.</param>
    /// <param name="folder">Where to.</param>
    public static void WriteLlama(Model model, TextConfig text, byte[] tokenizer, string folder)
    {
        Directory.CreateDirectory(folder);
        SafetensorsWriter.WriteSharded(folder, [.. model.Parameters.Select(parameter => TensorSource.FromFloats(
            ParameterNames.FromCanonical(parameter.Name, ParameterNaming.LanguageModel), parameter.Shape, model.Read(parameter.Name)))]);
        AtomicFile.WriteText(Path.Combine(folder, "config.json"), text.ToJson().ToJsonString(ConfigJson.WriteOptions));
        AtomicFile.WriteBytes(Path.Combine(folder, "tokenizer.model"), tokenizer);
        AtomicFile.WriteText(
            Path.Combine(folder, "tokenizer_config.json"),
            """
            {
              "add_bos_token": true,
              "add_eos_token": false,
              "bos_token": "<s>",
              "eos_token": "</s>",
              "legacy": false,
              "model_max_length": 512,
              "tokenizer_class": "LlamaTokenizer",
              "unk_token": "<unk>"
            }

            """);
    }

    internal static void InitialiseTower(Model model, ParameterInfo parameter, int seed)
    {
        string name = parameter.Name;
        if (name.Contains("patch_embedding", StringComparison.Ordinal))
        {
            model.Fill(name, Fill.Normal, 0, 1 / Math.Sqrt(3.0 * Vision.PatchSize * Vision.PatchSize), seed);
        }
        else if (name.Contains("embedding", StringComparison.Ordinal))
        {
            model.Fill(name, Fill.Normal, 0, 1, seed);
            if (parameter.Shape.Length == 2)
            {
                LayOutPlaces(model, parameter);
            }
        }
        else if (parameter.Shape.Length == 2)
        {
            // Random attention only blends patches: it stays a murmur beside what each patch shows.
            double scale = name.EndsWith("out_proj.weight", StringComparison.Ordinal) ? 0.2 : 1;
            model.Fill(name, Fill.Normal, 0, scale / Math.Sqrt(parameter.Shape[1]), seed);
        }
        else
        {
            model.Fill(name, Fill.Constant, name.EndsWith("bias", StringComparison.Ordinal) ? 0 : 1, 0, seed);
        }
    }

    // Raster order tells a decoder what lies higher, but what lies further left only the tower can say. So a place's
    // embedding moves along one direction with its column and along another with its row, beside a part of its own:
    // trained towers come to much the same.
    private static void LayOutPlaces(Model model, ParameterInfo parameter)
    {
        const float Along = 1f; // as strong as what a patch shows
        const float Own = 0.3f;
        int width = (int)parameter.Shape[1];
        int side = Vision.ImageSize / Vision.PatchSize;
        float middle = (side - 1) / 2f;
        float deviation = MathF.Sqrt(((side * side) - 1) / 12f); // of 0 … side - 1
        float[] drawn = model.Read(parameter.Name); // [1 + places, width]; the class token's comes first
        float[] places = [.. drawn];
        for (int place = 0; place < side * side; place++)
        {
            float x = ((place % side) - middle) / deviation;
            float y = ((place / side) - middle) / deviation;
            for (int i = 0; i < width; i++)
            {
                int at = ((1 + place) * width) + i;
                places[at] = (Along * ((x * drawn[width + i]) + (y * drawn[(2 * width) + i]))) + (Own * drawn[at]);
            }
        }

        model.Write(parameter.Name, ElementType.Float32, parameter.Shape, MemoryMarshal.AsBytes<float>(places));
    }
}
