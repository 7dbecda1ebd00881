using System.Runtime.CompilerServices;
using System.Text.Json;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>Against vectors of tests/peer/make_quantized.py, which is another implementation of the formats.</summary>
public sealed class QuantizedTests
{
    private static readonly JsonElement Golden = Read();

    [Fact]
    public void Nf4_has_the_same_bytes_scales_and_values()
    {
        JsonElement golden = Golden.GetProperty("nf4");
        float[] values = Floats(golden, "values"), scales = new float[NormalFloat4.BlockCount(values.Length)], decoded = new float[values.Length];
        byte[] packed = new byte[NormalFloat4.ByteCount(values.Length)];
        NormalFloat4.Encode(values, packed, scales);
        Assert.Equal(golden.GetProperty("packed").EnumerateArray().Select(b => b.GetByte()), packed);
        Assert.Equal(Floats(golden, "scales"), scales);
        NormalFloat4.Decode(packed, scales, decoded);
        Assert.Equal(Floats(golden, "decoded"), decoded);
        Assert.Equal(0, scales[1]);
    }

    [Fact]
    public void Each_level_is_its_own_code_and_a_value_between_two_goes_to_the_lower()
    {
        float[] levels = NormalFloat4.Levels.ToArray();
        byte[] packed = new byte[8];
        float[] scales = new float[1];
        NormalFloat4.Encode(levels, packed, scales);
        Assert.Equal([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef], packed);
        NormalFloat4.Encode([1f, (0.5626170039176941f + 0.7229568362236023f) / 2], packed.AsSpan(0, 1), scales);
        Assert.Equal(0xfd, packed[0]);
        Assert.Throws<ArgumentException>(() => NormalFloat4.Encode(new float[3], new byte[1], new float[1]));
        Assert.Throws<ArgumentException>(() => NormalFloat4.Decode(new byte[2], new float[2], new float[3]));
    }

    [Fact]
    public void Scales_quantised_again_have_the_same_codes_and_values()
    {
        JsonElement golden = Golden.GetProperty("double");
        Assert.Equal(Floats(Golden, "map"), QuantizedScales.Levels.ToArray());
        QuantizedScales quantized = QuantizedScales.From(Floats(golden, "scales"));
        Assert.Equal(golden.GetProperty("codes").EnumerateArray().Select(b => b.GetByte()), quantized.Codes);
        Assert.Equal(Floats(golden, "most"), quantized.Scales);
        Assert.Equal(golden.GetProperty("offset").GetSingle(), quantized.Offset);
        Assert.Equal(Floats(golden, "decoded"), quantized.ToFloats());
        Assert.Equal([0.3f, 0.3f], QuantizedScales.From([0.3f, 0.3f]).ToFloats());
        Assert.Empty(QuantizedScales.From([]).ToFloats());
    }

    [Fact]
    public void Rows_of_bytes_have_the_same_codes_and_values()
    {
        JsonElement golden = Golden.GetProperty("int8");
        float[] values = Floats(golden, "values"), decoded = new float[values.Length];
        int columns = golden.GetProperty("columns").GetInt32();
        float[] scales = new float[values.Length / columns];
        sbyte[] codes = new sbyte[values.Length];
        Int8Rows.Encode(values, columns, codes, scales);
        Assert.Equal(golden.GetProperty("codes").EnumerateArray().Select(b => b.GetSByte()), codes);
        Assert.Equal(Floats(golden, "scales"), scales);
        Int8Rows.Decode(codes, columns, scales, decoded);
        Assert.Equal(Floats(golden, "decoded"), decoded);
        Int8Rows.Encode(new float[4], 2, codes.AsSpan(0, 4), scales.AsSpan(0, 2));
        Assert.Equal([0, 0, 0, 0], codes[..4]);
        Assert.Throws<ArgumentException>(() => Int8Rows.Encode(new float[4], 3, new sbyte[4], new float[1]));
    }

    private static float[] Floats(JsonElement parent, string name) =>
        [.. parent.GetProperty(name).EnumerateArray().Select(v => v.GetSingle())];

    private static JsonElement Read([CallerFilePath] string path = "") =>
        JsonDocument.Parse(File.ReadAllText(Path.Combine(Path.GetDirectoryName(path)!, "Golden", "quantized.json"))).RootElement;
}
