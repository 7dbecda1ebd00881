namespace LlavaSharp.Interop.Tests;

/// <summary>Models and batches that are small, odd in every size, and the same in each run.</summary>
internal static class Tiny
{
    public const int Image = -200;

    /// <summary>Grouped queries, a head size that is not hidden / heads, a two-layer projector; L = 4.</summary>
    public static ModelConfig Config { get; } = new()
    {
        VisionHidden = 12,
        VisionLayers = 3,
        VisionHeads = 2,
        VisionIntermediate = 20,
        ImageSize = 8,
        PatchSize = 4,
        Hidden = 20,
        Layers = 2,
        Heads = 4,
        KvHeads = 2,
        HeadDim = 6,
        Intermediate = 28,
        Vocabulary = 37,
    };

    /// <summary>A decoder alone.</summary>
    public static ModelConfig TextOnly { get; } = Config with
    {
        VisionHidden = 0,
        VisionLayers = 0,
        VisionHeads = 0,
        VisionIntermediate = 0,
        ImageSize = 0,
        PatchSize = 0,
        Projector = ProjectorKind.Identity,
        ProjectorDepth = 0,
    };

    /// <summary>A model with drawn weights; norms near one, so that nothing vanishes.</summary>
    public static Model Model(Engine engine, ModelConfig config, long seed = 1)
    {
        Model model = new(engine, config);
        foreach (ParameterInfo parameter in model.Parameters)
        {
            bool gain = !parameter.Decay && parameter.Name.EndsWith("weight", StringComparison.Ordinal);
            model.Fill(parameter.Name, Fill.Normal, gain ? 1 : 0, 0.2, seed);
        }
        return model;
    }

    /// <summary>Packs samples; <see cref="Image"/> stands for one image. The first third of each sample has no labels.</summary>
    public static PackedBatch Batch(ModelConfig config, params int[][] samples)
    {
        List<int> tokens = [], labels = [], positions = [], starts = [0], slots = [];
        foreach (int[] sample in samples)
        {
            int position = 0;
            for (int index = 0; index < sample.Length; index++)
            {
                bool image = sample[index] == Image;
                for (int row = 0; row < (image ? config.ImageRows : 1); row++)
                {
                    if (image)
                    {
                        slots.Add(tokens.Count);
                    }
                    tokens.Add(image ? 0 : sample[index]);
                    labels.Add(image || index < sample.Length / 3 ? PackedBatch.IgnoreLabel : sample[index]);
                    positions.Add(position++);
                }
            }
            starts.Add(tokens.Count);
        }
        int images = samples.Sum(sample => sample.Count(token => token == Image));
        Random random = new(images);
        float[] pixels = new float[images * 3 * config.ImageSize * config.ImageSize]; // [N,3,S,S]
        for (int index = 0; index < pixels.Length; index++)
        {
            pixels[index] = (random.NextSingle() * 4) - 2;
        }
        return new PackedBatch
        {
            Tokens = tokens.ToArray(),
            Labels = labels.ToArray(),
            Positions = positions.ToArray(),
            CuSeqlens = starts.ToArray(),
            ImageSlots = slots.ToArray(),
            Pixels = pixels,
        };
    }

    /// <summary>Text alone, one image, two images, and a sample of one token.</summary>
    public static PackedBatch Mixed(ModelConfig config) => Batch(
        config, [1, 5, 6, 7, 8], [1, Image, 9, 10, 11, 12, 2], [1, 13, Image, 14, Image, 15, 16, 17], [1]);

    /// <summary>Four samples without an image, one of them a single token.</summary>
    public static PackedBatch Text(ModelConfig config) => Batch(
        config, [1, 5, 6, 7, 8], [1, 9, 10], [1], [1, 11, 12, 13, 14, 15, 16]);
}
