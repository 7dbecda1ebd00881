namespace LlavaSharp.Training;

/// <summary>Where a run says how it goes. Calls come from the training thread, in order.</summary>
public interface IProgressSink
{
    /// <summary>Something worth a line.</summary>
    /// <param name="line">The line.</param>
    void Note(string line);

    /// <summary>Something the user should look into, though the run goes on.</summary>
    /// <param name="line">The line.</param>
    void Warn(string line);

    /// <summary>A run of updates begins.</summary>
    /// <param name="name">What it is, such as "stage 1".</param>
    /// <param name="totalSteps">Its updates.</param>
    void Begin(string name, int totalSteps);

    /// <summary>An update is done.</summary>
    /// <param name="step">What it gave.</param>
    void Step(StepRecord step);

    /// <summary>The run of updates is over, also after a failure.</summary>
    void End();
}
