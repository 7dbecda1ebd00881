namespace LlavaSharp.Data;

/// <summary>What a check found in a sample: a fault, or something that is only worth a note.</summary>
/// <param name="Index">The sample's index in its file, from 0.</param>
/// <param name="Fault">What it is.</param>
/// <param name="Message">One line with the values.</param>
public sealed record SampleProblem(int Index, SampleFault Fault, string Message)
{
    /// <summary>
    /// Whether the sample can be trained all the same: a repeated sample may be there to weigh more, and a picture is read by its
    /// content. <c>--on_bad_sample skip</c> keeps such samples, and <c>check-data</c> does not fail for them.
    /// </summary>
    public bool IsNote => Fault is SampleFault.Duplicate or SampleFault.WrongExtension;
}
