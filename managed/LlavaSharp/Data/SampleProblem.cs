namespace LlavaSharp.Data;

/// <summary>A fault of a sample.</summary>
/// <param name="Index">The sample's index in its file, from 0.</param>
/// <param name="Fault">What is wrong.</param>
/// <param name="Message">One line with the values.</param>
public sealed record SampleProblem(int Index, SampleFault Fault, string Message);
