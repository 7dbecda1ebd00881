namespace LlavaSharp.Interop;

/// <summary>What communication took since the trainer was made.</summary>
/// <param name="Exchanges">Transfers between ranks.</param>
/// <param name="Bytes">Sent by this rank.</param>
/// <param name="Busy">How long transfers lasted, waiting for other ranks included.</param>
/// <param name="Exposed">How long compute waited for them.</param>
public readonly record struct TrafficStatistics(long Exchanges, long Bytes, TimeSpan Busy, TimeSpan Exposed);
