using System.Globalization;

namespace LlavaSharp.Benchmarks;

/// <summary>How long loading a checkpoint takes.</summary>
/// <param name="Bytes">Of its files.</param>
/// <param name="Seconds">From opening the folder to a model that is ready; the median.</param>
/// <param name="CopySeconds">Copying the same bytes once, into fresh memory, with one thread; the median.</param>
public sealed record LoadBenchResult(long Bytes, double Seconds, double CopySeconds)
{
    /// <summary>How near loading comes to the copy; 1 is as fast.</summary>
    public double FractionOfCopy => CopySeconds / Seconds;

    /// <summary>One line for people.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Bytes / 1048576.0:0} MiB: loaded in {Seconds:0.000} s, {Bytes / Seconds * 1e-9:0.00} GB/s; copied in {CopySeconds:0.000} s, {Bytes / CopySeconds * 1e-9:0.00} GB/s; {FractionOfCopy:0.00} of the copy");
}
