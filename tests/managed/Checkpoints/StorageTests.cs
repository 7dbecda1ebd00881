using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.Json;
using LlavaSharp.Interop;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>What the engine stores in fewer bits, against vectors of tests/peer/make_quantized.py, which is another implementation of
/// the formats.</summary>
public sealed class StorageTests
{
    private static readonly JsonElement Golden = Read();

    [Theory]
    [InlineData("nf4", Storage.Nf4, 9)]
    [InlineData("fp4", Storage.Fp4, 9)]
    [InlineData("int8", Storage.Int8, 5)]
    public void Linears_come_back_as_the_formats_say(string name, Storage storage, int rows)
    {
        var golden = Golden.GetProperty(name);
        Assert.Equal(Floats(golden, "decoded"), Stored(Floats(golden, "values"), rows, Storage.Float32, storage));
    }

    [Fact]
    public void Everything_comes_back_as_the_nearest_bfloat16()
    {
        var golden = Golden.GetProperty("bfloat16");
        Assert.Equal(Floats(golden, "decoded"), Stored(Floats(golden, "values"), 9, Storage.BFloat16, Storage.Float32));
    }

    [Theory]
    [InlineData(Storage.Nf4Double)]
    [InlineData(Storage.Fp4Double)]
    public void Magnitudes_of_blocks_are_quantised_themselves(Storage storage)
    {
        // A block whose first element is its magnitude, which either format stores as 1.
        var golden = Golden.GetProperty("double");
        float[] scales = Floats(golden, "scales"), weights = new float[scales.Length * 64];
        for (var i = 0; i < scales.Length; i++)
        {
            weights[i * 64] = scales[i];
        }

        var stored = Stored(weights, 96, Storage.Float32, storage);
        Assert.Equal(Floats(golden, "decoded"), Enumerable.Range(0, scales.Length).Select(i => stored[i * 64]));
    }

    // Through a model that has a linear of that many rows.
    private static float[] Stored(float[] values, int rows, Storage storage, Storage linears)
    {
        using var engine = new Engine();
        using var model = new Model(engine, new()
        {
            Hidden = rows,
            Intermediate = values.Length / rows,
            Layers = 1,
            Heads = 1,
            KvHeads = 1,
            HeadDim = 2,
            Vocabulary = 3,
            Projector = ProjectorKind.Identity,
            Storage = storage,
            LinearStorage = linears,
        });
        model.Write("layer.0.mlp.down_proj.weight", ElementType.Float32, [rows, values.Length / rows], MemoryMarshal.AsBytes<float>(values));
        var stored = new float[values.Length];
        model.Read("layer.0.mlp.down_proj.weight", stored);
        return stored;
    }

    private static float[] Floats(JsonElement parent, string name) =>
        [.. parent.GetProperty(name).EnumerateArray().Select(v => v.GetSingle())];

    private static JsonElement Read([CallerFilePath] string path = "") =>
        JsonDocument.Parse(File.ReadAllText(Path.Combine(Path.GetDirectoryName(path)!, "Golden", "quantized.json"))).RootElement;
}
