using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tests.Checkpoints;

public sealed class TensorConvertTests
{
    [Theory]
    [InlineData(1f, 0x3f80)]
    [InlineData(1.00390625f, 0x3f80)] // half way between two: to even
    [InlineData(1.01171875f, 0x3f82)] // half way, the other side
    [InlineData(1.0040f, 0x3f81)]
    [InlineData(-0f, 0x8000)]
    [InlineData(float.MaxValue, 0x7f80)]
    [InlineData(float.PositiveInfinity, 0x7f80)]
    [InlineData(float.NegativeInfinity, 0xff80)]
    [InlineData(float.Epsilon, 0)]
    public void Rounds_to_bfloat16_to_nearest_even(float value, int bits) =>
        Assert.Equal(bits, TensorConvert.ToBFloat16(value));

    [Fact]
    public void A_nan_stays_one()
    {
        float quiet = BitConverter.UInt32BitsToSingle(0x7f800001);
        Assert.True(float.IsNaN(BitConverter.UInt32BitsToSingle((uint)TensorConvert.ToBFloat16(quiet) << 16)));
    }

    [Theory]
    [InlineData(TensorType.F32)]
    [InlineData(TensorType.F16)]
    [InlineData(TensorType.BF16)]
    [InlineData(TensorType.F64)]
    public void What_fits_a_type_comes_back_exactly(TensorType type)
    {
        float[] values = [0, -0f, 1, -2.5f, 0.0078125f, 256, float.PositiveInfinity];
        byte[] bytes = new byte[values.Length * type.ByteSize()];
        TensorConvert.FromFloats(values, type, bytes);
        float[] back = new float[values.Length];
        TensorConvert.ToFloats(type, bytes, back);
        Assert.Equal(values, back);
    }

    [Fact]
    public void Every_half_and_bfloat16_survives_a_round_trip()
    {
        byte[] bytes = [.. Enumerable.Range(0, 65536).SelectMany(i => new[] { (byte)i, (byte)(i >> 8) })];
        float[] values = new float[65536];
        byte[] back = new byte[bytes.Length];
        TensorConvert.ToFloats(TensorType.BF16, bytes, values);
        TensorConvert.FromFloats(values, TensorType.BF16, back);
        for (int i = 0; i < 65536; i++)
        {
            Assert.True(float.IsNaN(values[i]) || (bytes[2 * i] == back[2 * i] && bytes[(2 * i) + 1] == back[(2 * i) + 1]));
        }

        TensorConvert.ToFloats(TensorType.F16, bytes, values);
        for (int i = 0; i < 65536; i++)
        {
            float exact = (float)BitConverter.UInt16BitsToHalf((ushort)i);
            Assert.True(values[i].Equals(exact));
        }
    }

    [Fact]
    public void Refuses_integers_and_wrong_lengths()
    {
        Assert.Throws<ArgumentException>(() => TensorConvert.ToFloats(TensorType.I64, new byte[8], new float[1]));
        Assert.Throws<ArgumentException>(() => TensorConvert.ToFloats(TensorType.F32, new byte[8], new float[1]));
        Assert.Throws<ArgumentException>(() => TensorConvert.FromFloats(new float[1], TensorType.F16, new byte[4]));
    }
}
