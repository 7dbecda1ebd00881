using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>A LLaVA of a few thousand parameters, whose values follow from their names.</summary>
internal sealed class TinyModel(LlavaConfig config) : IParameterSource
{
    private readonly Dictionary<string, long[]> _shapes = Shapes(config).ToDictionary();

    public Dictionary<string, float[]> Replaced { get; } = [];

    public static LlavaConfig Config(string projector = "mlp2x_gelu", int vocabulary = 300) => new()
    {
        Vision = new() { HiddenSize = 8, IntermediateSize = 12, LayerCount = 2, HeadCount = 2, ImageSize = 28, PatchSize = 14 },
        Text = new()
        {
            VocabularySize = vocabulary,
            HiddenSize = 8,
            IntermediateSize = 12,
            LayerCount = 2,
            HeadCount = 2,
            KeyValueHeadCount = 1,
            HeadDim = 4,
            RmsNormEpsilon = 1e-5,
            RopeTheta = 5000,
        },
        Projector = ProjectorType.Parse(projector),
        ImageAspectRatio = "pad",
    };

    public static IEnumerable<string> Names(LlavaConfig config) => ParameterTable.Shapes(config).Select(p => p.Key);

    public static IEnumerable<KeyValuePair<string, long[]>> Shapes(LlavaConfig config) => ParameterTable.Shapes(config);

    public static float[] Values(string name, long count)
    {
        var random = new Random(name.Aggregate(17, (hash, c) => unchecked((hash * 31) + c)));
        return [.. Enumerable.Range(0, (int)count).Select(_ => (random.NextSingle() - 0.5f) / 2)];
    }

    public bool TryGet(string canonicalName, out TensorType type, out long[] shape, out LongBytes bytes)
    {
        type = TensorType.F32;
        bytes = default;
        if (!_shapes.TryGetValue(canonicalName, out shape!))
        {
            shape = [];
            return false;
        }

        float[] values = Replaced.TryGetValue(canonicalName, out float[]? given)
            ? given : Values(canonicalName, shape.Aggregate(1L, (a, b) => a * b));
        bytes = LongBytes.Of(values);
        return true;
    }

    public string Describe(string canonicalName) => $"tiny model, {canonicalName}";
}
