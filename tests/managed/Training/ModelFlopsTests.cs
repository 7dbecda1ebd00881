using LlavaSharp.Interop;
using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

public sealed class ModelFlopsTests
{
    private const UnitKinds Language = UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head;

    private static readonly ModelConfig Vicuna = new()
    {
        VisionHidden = 1024,
        VisionLayers = 24,
        VisionHeads = 16,
        VisionIntermediate = 4096,
        ImageSize = 336,
        PatchSize = 14,
        Hidden = 4096,
        Layers = 32,
        Heads = 32,
        KvHeads = 32,
        HeadDim = 128,
        Intermediate = 11008,
        Vocabulary = 32000,
    };

    [Fact]
    public void A_text_costs_six_operations_a_weight_and_token()
    {
        // All tokens supervised, so short that attention hardly counts: 6 · (7B without the embedding) · tokens.
        var batch = Batch([1], 0, 1);
        Assert.Equal(
            6.0 * (6_738_415_616 - (32000L * 4096) - ((2 * 32 + 1) * 4096)),
            new ModelFlops(Vicuna, Language).Of(batch),
            1e-3 * 6 * 6.7e9);
    }

    [Fact]
    public void Frozen_weights_cost_no_backward_of_their_own()
    {
        var batch = Batch([600, 40], 1, 50);
        double full = Of(Language | UnitKinds.Projector), adapters = Of(UnitKinds.Lora | UnitKinds.Projector), head = Of(UnitKinds.Head);
        Assert.InRange(adapters / full, 0.6, 0.72); // two passes of three
        Assert.Equal(adapters, Of(UnitKinds.Projector), 1e-9 * full);
        Assert.InRange(head / full, 0.3, 0.45);

        double Of(UnitKinds trained) => new ModelFlops(Vicuna, trained).Of(batch);
    }

    [Fact]
    public void A_picture_costs_tower_and_projector()
    {
        var projector = new ModelFlops(Vicuna, UnitKinds.Projector);
        var one = projector.Of(Batch([600], 1, 10)) - projector.Of(Batch([600], 0, 10));
        // 23 of 24 layers of 303.5 M parameters see 577 rows; 21 M of projector see 576, thrice the second linear, twice the first.
        Assert.InRange(one, 2 * 577 * 290e6, 2 * 577 * 410e6);
    }

    [Fact]
    public void Attention_grows_with_the_square_of_a_sample_not_of_the_batch()
    {
        var flops = new ModelFlops(Vicuna, Language);
        var (together, apart) = (flops.Of(Batch([2000], 0, 10)), flops.Of(Batch([1000, 1000], 0, 10)));
        Assert.Equal(32 * 4.0 * 4096 * 3 * ((2000.0 * 2000 / 2) - (1000.0 * 1000)), together - apart, 1e6);
    }

    private static BatchLayout Batch(int[] lengths, int images, int supervised)
    {
        int[] starts = [0, .. lengths.Select((_, i) => lengths[..(i + 1)].Sum())];
        var tokens = new int[starts[^1]];
        return new(tokens, tokens, tokens, starts, new int[images * 576], [], supervised);
    }
}
