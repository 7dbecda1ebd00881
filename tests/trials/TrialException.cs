namespace LlavaSharp.Trials;

/// <summary>A trial did not show what it had to.</summary>
internal sealed class TrialException(string message) : Exception(message);
