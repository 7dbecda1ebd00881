using System.Globalization;

namespace LlavaSharp.Benchmarks;

/// <summary>How long one picture takes, from its file's bytes to the tower's pixels, on one core.</summary>
/// <param name="Width">Columns.</param>
/// <param name="Height">Rows.</param>
/// <param name="FileBytes">Length of the JPEG.</param>
/// <param name="DecodeSeconds">Decoding alone; the median.</param>
/// <param name="Seconds">Decode, pad, resize to 336, normalise; the median.</param>
/// <param name="Peer">The other side's figures; null when there is none.</param>
/// <param name="SameBytes">Whether both sides computed the same pixels; null without a peer.</param>
public sealed record ImageBenchResult(
    int Width, int Height, int FileBytes, double DecodeSeconds, double Seconds, PeerImageTimes? Peer, bool? SameBytes)
{
    /// <summary>How many times faster than the peer; null without one.</summary>
    public double? Ratio => Peer is null ? null : Peer.Seconds / Seconds;

    /// <summary>One line for people.</summary>
    public override string ToString()
    {
        CultureInfo invariant = CultureInfo.InvariantCulture;
        string ours = string.Create(
            invariant,
            $"{Width} × {Height}, {FileBytes / 1024} KiB: {Seconds * 1e3:0.00} ms a picture (decode {DecodeSeconds * 1e3:0.00}), {1 / Seconds:0} a second a core");
        return Peer is null ? ours : ours + string.Create(
            invariant,
            $"; peer {Peer.Seconds * 1e3:0.00} ms (decode {Peer.DecodeSeconds * 1e3:0.00}), {Ratio:0.00} ×, {(SameBytes == true ? "same bytes" : "OTHER BYTES")}");
    }
}
