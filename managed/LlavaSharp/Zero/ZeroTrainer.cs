using LlavaSharp.Interop;

namespace LlavaSharp.Zero;

/// <summary>Makes the trainer of a run: a plain one for one process, else one that follows the plan that all ranks agree on.</summary>
public static class ZeroTrainer
{
    /// <summary>Makes it.</summary>
    /// <param name="model">What is trained; its trainable units are chosen.</param>
    /// <param name="options">AdamW's options.</param>
    /// <param name="ranks">The processes.</param>
    /// <param name="division">Stage, depth, buckets; its world is the processes'.</param>
    /// <param name="zero">Accumulation, and faults for tests.</param>
    /// <param name="parts">What else must be the same on all processes.</param>
    /// <returns>The trainer.</returns>
    /// <exception cref="UserErrorException">The processes do not agree.</exception>
    public static Trainer Make(
        Model model, TrainerOptions options, Ranks ranks, ZeroDivision division, ShardingOptions zero,
        IEnumerable<(string Name, string Text)> parts)
    {
        if (ranks.World == 1)
        {
            return Room(() => new(model, options));
        }

        var plan = ZeroPlan.Build(ZeroUnit.Of(model.Parameters), division with { World = ranks.World });
        var table = string.Concat(model.Parameters.Select(p => $"{p.Name} [{string.Join(',', p.Shape)}] {p.Trainable}\n"));
        ranks.Agree([("the model", $"{model.Config}\n{table}"), .. parts, ("the plan", $"{plan.Hash()} {zero}")]);
        return ranks.Together(
            "making room for the state", () => Room(() => new(model, options, ranks.Communicator, zero, plan.Steps)));
    }

    // A disk that is full, or not to be written to, is the user's.
    private static Trainer Room(Func<Trainer> make)
    {
        const string Offload = "offload_folder: ";
        try
        {
            return make();
        }
        catch (EngineException e) when (e.Message.StartsWith(Offload, StringComparison.Ordinal))
        {
            throw new UserErrorException($"nvme_path: {e.Message[Offload.Length..]}; make room there, or name another folder", e);
        }
    }
}
