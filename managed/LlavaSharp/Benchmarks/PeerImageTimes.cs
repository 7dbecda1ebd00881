namespace LlavaSharp.Benchmarks;

/// <summary>What another implementation made of a picture, and how long it took on one core.</summary>
/// <param name="Sha256">Hash of its float32 pixels [3, 336, 336].</param>
/// <param name="Seconds">Decode, pad, resize, normalise; the median.</param>
/// <param name="DecodeSeconds">Decoding alone.</param>
public sealed record PeerImageTimes(string Sha256, double Seconds, double DecodeSeconds);
