using System.Globalization;

namespace LlavaSharp.Benchmarks;

/// <summary>How long a training step takes.</summary>
/// <param name="Stage">pretrain, lora or full.</param>
/// <param name="Hidden">Width of the decoder.</param>
/// <param name="Layers">Its layers.</param>
/// <param name="Batch">Samples.</param>
/// <param name="Tokens">Of all samples, image rows included.</param>
/// <param name="Threads">Threads of the engine.</param>
/// <param name="Seconds">A step; the median.</param>
/// <param name="PeakBytes">Most that the engine's own buffers held.</param>
/// <param name="Loss">The last step's, a token.</param>
public sealed record StepBenchResult(
    string Stage, int Hidden, int Layers, int Batch, int Tokens, int Threads, double Seconds, long PeakBytes, double Loss)
{
    /// <summary>One line for people.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Stage}, {Layers} layers of {Hidden}, {Batch} samples, {Tokens} tokens, {Threads} threads: {Seconds:0.000} s a step, {Batch / Seconds:0.00} samples/s, {Tokens / Seconds:0} tokens/s, buffers {PeakBytes / 1048576.0:0} MiB; loss {Loss:0.000}");
}
