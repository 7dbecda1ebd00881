namespace LlavaSharp.Tokenization;

/// <summary>A part of a text: a special token that is spelled there, or a run of ordinary text.</summary>
/// <param name="Start">First character.</param>
/// <param name="End">First character behind it.</param>
/// <param name="Id">The special token's id; -1 for a run.</param>
/// <param name="DummyPrefix">Whether the run is encoded with a space in front (SentencePiece only).</param>
internal readonly record struct TextSegment(int Start, int End, int Id, bool DummyPrefix);
