namespace LlavaSharp.Training;

/// <summary>Receives the updates of a run, averaged over logging_steps.</summary>
public interface IRunLog
{
    /// <summary>Appends an update.</summary>
    /// <param name="record">The update.</param>
    void Write(StepRecord record);
}
