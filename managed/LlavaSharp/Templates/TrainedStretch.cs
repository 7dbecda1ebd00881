namespace LlavaSharp.Templates;

/// <summary>
/// A stretch of a prompt that is trained. Where it starts at a space, the space belongs to the first token of
/// what follows.
/// </summary>
/// <param name="Start">First character.</param>
/// <param name="End">First character behind it.</param>
/// <param name="MaxTokens">How many of its tokens are trained at most, from its start.</param>
internal readonly record struct TrainedStretch(int Start, int End, int MaxTokens = int.MaxValue);
