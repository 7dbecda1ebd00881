namespace LlavaSharp.Generation;

/// <summary>An answer with the ids behind it.</summary>
/// <param name="InputIds">The prompt; -200 where the image goes.</param>
/// <param name="OutputIds">The answer, up to the token that ended it: its stop token, or the last one that spells its stop text.</param>
/// <param name="Text">The answer's text, without the stop text and without spaces around it.</param>
/// <param name="IsStopped">Whether the model ended it; false where it was cut at the longest answer.</param>
public sealed record ChatAnswer(int[] InputIds, int[] OutputIds, string Text, bool IsStopped)
{
    /// <summary>Why the answer ended, as servers call it: <c>stop</c> or <c>length</c>.</summary>
    public string FinishReason => IsStopped ? "stop" : "length";
}
