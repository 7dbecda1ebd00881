namespace LlavaSharp.Trials;

/// <summary>What a command left behind.</summary>
internal sealed record Outcome(int Code, string Error, string Output, double Seconds)
{
    /// <summary>What the program itself called an error; mpirun's own words are not among it.</summary>
    public string[] Errors =>
        [.. Error.Split('\n').Where(l => l.StartsWith("error: ", StringComparison.Ordinal) || l.StartsWith("internal error: ", StringComparison.Ordinal))];
}
