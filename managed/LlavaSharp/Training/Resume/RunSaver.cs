using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Training.Resume;

/// <summary>Writes a run's checkpoints: when the policy says so, and when the run is asked to stop or cannot go on.</summary>
/// <param name="store">Where they go.</param>
/// <param name="policy">When.</param>
/// <param name="identity">What the run belongs to; asked for once, with the first checkpoint.</param>
/// <param name="config">Text of train_config.json.</param>
/// <param name="more">Writes what the stage leaves beside the state, such as mm_projector.bin, from the weights it is given.</param>
public sealed class RunSaver(
    CheckpointStore store, SavePolicy policy, Lazy<RunIdentity> identity, string config, Action<string, IParameterSource> more)
{
    private int _saved = -1;

    /// <summary>Whether a checkpoint follows an update.</summary>
    /// <param name="history">Every update so far, at least one.</param>
    /// <returns>True when one is due.</returns>
    public bool IsDue(IReadOnlyList<StepRecord> history) =>
        policy.IsDue(history[^1].Step, history.Count > 1 ? history[^2].Epoch : 0, history[^1].Epoch);

    /// <summary>The checkpoint that the same command would go on from.</summary>
    /// <returns>Its folder; null when there is none.</returns>
    public string? Newest() => store.List() is [var (_, path), ..] ? path : null;

    /// <summary>Remembers that a state is on the disk already.</summary>
    /// <param name="step">Its updates.</param>
    public void AlreadySaved(int step) => _saved = step;

    /// <summary>Writes a checkpoint, unless the state has not changed since the last one.</summary>
    /// <param name="model">The model.</param>
    /// <param name="trainer">Its trainer.</param>
    /// <param name="sharding">How the state lies on the processes, which all call this.</param>
    /// <param name="history">Every update so far.</param>
    /// <param name="state">Makes the state; its identity is put in here.</param>
    /// <returns>The checkpoint; null when there was nothing new.</returns>
    /// <exception cref="UserErrorException">It cannot be written.</exception>
    public string? Save(
        Model model, Trainer trainer, Sharding sharding, IReadOnlyList<StepRecord> history, Func<RunIdentity, RunState> state)
    {
        if (history.Count == 0 || history.Count == _saved)
        {
            return null;
        }

        // Before the attempt: one that fails is not tried again while the run ends.
        _saved = history.Count;
        return store.Save(history.Count, temporary =>
        {
            sharding.Ranks.Together("writing a checkpoint's state", () =>
            {
                RunCheckpoint.Write(temporary, model, trainer, sharding);
                if (sharding.Ranks.IsFirst)
                {
                    RunHistory.Write(temporary, history);
                    AtomicFile.WriteText(Path.Combine(temporary, ResolvedConfig.FileName), config);
                    state(identity.Value).Write(temporary);
                }
            });
            new SharedWeights(model, trainer, sharding).Write(source => more(temporary, source));
        }, sharding.Ranks);
    }
}
