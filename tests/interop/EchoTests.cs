using System.Text;

namespace LlavaSharp.Interop.Tests;

/// <summary>What crosses the boundary comes back unchanged: the proof that both sides mean the same bits.</summary>
public sealed unsafe class EchoTests
{
    private static readonly string[] Scripts = ["plain", "Grüße", "日本語", "עברית", "🦙🌋", "a\u0301", "\t\"\\\n", "\uffff\ue000"];

    [Fact]
    public void Ten_thousand_values_of_each_type_come_back()
    {
        Random random = new(20260101);
        byte[] bits = new byte[16];
        for (int round = 0; round < 10_000; round++)
        {
            random.NextBytes(bits);
            Native.Echo sent = new()
            {
                I32 = BitConverter.ToInt32(bits, 0),
                F32 = BitConverter.ToSingle(bits, 4), // NaNs with payload, infinities, subnormals
                I64 = random.NextInt64(long.MinValue, long.MaxValue),
                F64 = BitConverter.ToDouble(bits, 8),
            };
            string text = string.Concat(Enumerable.Range(0, random.Next(6)).Select(_ => Scripts[random.Next(Scripts.Length)]));
            long[] span = [.. Enumerable.Range(0, random.Next(9)).Select(_ => random.NextInt64(-(1L << 50), 1L << 50))];
            fixed (byte* utf8 = Encoding.UTF8.GetBytes(text + "\0"))
            fixed (long* spanPointer = span)
            {
                sent.Text = utf8;
                Native.EchoGet(in sent, spanPointer, span.Length, out Native.Echo back, out long sum).ThrowIfFailed();
                Assert.Equal(sent.I32, back.I32);
                Assert.Equal(BitConverter.SingleToInt32Bits(sent.F32), BitConverter.SingleToInt32Bits(back.F32));
                Assert.Equal(sent.I64, back.I64);
                Assert.Equal(BitConverter.DoubleToInt64Bits(sent.F64), BitConverter.DoubleToInt64Bits(back.F64));
                Assert.Equal(text, Native.Text(back.Text));
                Assert.Equal(span.Sum(), sum);
            }
        }
    }

    [Fact]
    public void Names_cross_as_utf8_and_come_back_in_the_message()
    {
        using Engine engine = new();
        using Model model = new(engine, Tiny.TextOnly);
        EngineException refusal = Assert.Throws<EngineException>(() => model.Fill("Grüße 日本語 🦙", Fill.Constant, 1, 0, 0));
        Assert.Contains("Grüße 日本語 🦙", refusal.Message);
    }
}
