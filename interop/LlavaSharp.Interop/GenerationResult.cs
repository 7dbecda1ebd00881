namespace LlavaSharp.Interop;

/// <summary>The answers of a run.</summary>
/// <param name="Tokens">One array a prompt: its new tokens, the stop token included where one came.</param>
public sealed record GenerationResult(int[][] Tokens);
