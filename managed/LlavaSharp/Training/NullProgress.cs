namespace LlavaSharp.Training;

/// <summary>A sink that says nothing.</summary>
public sealed class NullProgress : IProgressSink
{
    private NullProgress()
    {
    }

    /// <summary>The one instance.</summary>
    public static NullProgress Instance { get; } = new();

    /// <inheritdoc/>
    public void Note(string line)
    {
    }

    /// <inheritdoc/>
    public void Warn(string line)
    {
    }

    /// <inheritdoc/>
    public void Begin(string name, int totalSteps)
    {
    }

    /// <inheritdoc/>
    public void Step(StepRecord step)
    {
    }

    /// <inheritdoc/>
    public void End()
    {
    }
}
