namespace LlavaSharp.Data;

/// <summary>One turn of a conversation.</summary>
/// <param name="From">Who speaks: <c>human</c>, <c>gpt</c>, or <c>system</c> before all others.</param>
/// <param name="Value">What is said; <c>&lt;image&gt;</c> marks a picture's place.</param>
public sealed record Turn(string From, string Value)
{
    /// <summary>The names of speakers that data files may use, in words for messages.</summary>
    internal const string KnownSpeakers = "known are \"human\" or \"user\", \"gpt\" or \"assistant\", and a first \"system\", in small letters";
}
