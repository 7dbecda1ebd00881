namespace LlavaSharp.Training.Resume;

/// <summary>After which updates a checkpoint is written: Hugging Face's save_strategy and save_steps.</summary>
public sealed class SavePolicy
{
    private readonly string _strategy;
    private readonly int _every;

    /// <summary>Reads the policy of a run.</summary>
    /// <param name="options">save_strategy, and save_steps: whole from 1 on, below 1 a fraction of the run's updates.</param>
    /// <param name="totalSteps">Updates of the run.</param>
    public SavePolicy(TrainOptions options, int totalSteps)
    {
        _strategy = options.SaveStrategy;
        _every = options.SaveSteps < 1 ? (int)Math.Ceiling(options.SaveSteps * totalSteps) : (int)options.SaveSteps;
    }

    /// <summary>Whether a checkpoint follows an update.</summary>
    /// <param name="step">The update, from 1.</param>
    /// <param name="epochBefore">Passes over the data before it.</param>
    /// <param name="epochAfter">Passes over the data after it.</param>
    /// <returns>True when one is due.</returns>
    public bool IsDue(int step, double epochBefore, double epochAfter) => _strategy switch
    {
        "steps" => step % _every == 0,
        "epoch" => Math.Floor(epochAfter) > Math.Floor(epochBefore),
        _ => false,
    };
}
