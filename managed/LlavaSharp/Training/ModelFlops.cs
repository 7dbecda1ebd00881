using LlavaSharp.Interop;

namespace LlavaSharp.Training;

/// <summary>
/// Floating-point operations that a micro-batch asks of the model, recomputation and padding not counted: the numerator of the model FLOPs
/// utilisation (MFU) as PaLM's authors define it. A product of m × k by k × n is 2·m·n·k; adapters' own products are left out.
/// </summary>
/// <param name="config">The model's shape.</param>
/// <param name="trained">What trains: a product's backward is one more of its size for its input, and one for its weight.</param>
internal sealed class ModelFlops(ModelConfig config, UnitKinds trained)
{
    private const UnitKinds BelowDecoder = UnitKinds.Vision | UnitKinds.Projector | UnitKinds.Embed;

    // Passes over the decoder's products: forward; backward to its inputs, which adapters and what lies below need; to its weights.
    private int DecoderPasses =>
        1 + ((trained & (BelowDecoder | UnitKinds.Layer | UnitKinds.Lora)) != 0 ? 1 : 0) + (trained.HasFlag(UnitKinds.Layer) ? 1 : 0);

    private int HeadPasses => trained.HasFlag(UnitKinds.Head) ? 3 : 2;

    /// <summary>Counts a micro-batch.</summary>
    /// <param name="batch">The micro-batch.</param>
    /// <returns>Operations of its forward and backward.</returns>
    public double Of(BatchLayout batch)
    {
        double width = config.Hidden, query = (double)config.Heads * config.HeadDim, keyValue = (double)config.KvHeads * config.HeadDim;
        var weights = (2 * width * query) + (2 * width * keyValue) + (3 * width * config.Intermediate);
        var pairs = 0.0;
        for (var b = 0; b < batch.SampleCount; b++)
        {
            double length = batch.SequenceStarts[b + 1] - batch.SequenceStarts[b];
            pairs += length * length / 2;
        }

        // Attention has no weights: two products forward, four backward.
        var attention = 4 * pairs * query * (DecoderPasses > 1 ? 3 : 1);
        var decoder = config.Layers * ((2 * weights * batch.Tokens.Length * DecoderPasses) + attention);
        var head = 2 * width * config.Vocabulary * batch.SupervisedTokens * HeadPasses;
        return decoder + head + (config.VisionHidden == 0 ? 0 : Images(batch));
    }

    private double Images(BatchLayout batch)
    {
        double images = (double)batch.ImageSlots.Length / config.ImageRows, width = config.VisionHidden;
        double patches = (config.ImageSize / config.PatchSize) * (double)(config.ImageSize / config.PatchSize), rows = patches + 1;
        var layer = (2 * rows * ((4 * width * width) + (2 * width * config.VisionIntermediate))) + (4 * rows * rows * width);
        var layers = config.VisionFeatureLayer < 0 ? config.VisionLayers + 1 + config.VisionFeatureLayer : config.VisionFeatureLayer;
        var first = config.Projector == ProjectorKind.Identity ? 0 : width * config.Hidden;
        var deeper = config.Projector == ProjectorKind.Mlp ? (config.ProjectorDepth - 1) * (double)config.Hidden * config.Hidden : 0;
        var passes = trained.HasFlag(UnitKinds.Projector) || trained.HasFlag(UnitKinds.Vision) ? 2 : 1;
        var projector = 2 * config.ImageRows * ((first * passes) + (deeper * (passes == 2 ? 3 : 1)));
        // A trained tower runs forward once more, then its layers' products twice.
        var tower = trained.HasFlag(UnitKinds.Vision) ? 4 : 1;
        return images * ((tower * 2 * patches * width * 3 * config.PatchSize * config.PatchSize) + (tower * layers * layer) + projector);
    }
}
