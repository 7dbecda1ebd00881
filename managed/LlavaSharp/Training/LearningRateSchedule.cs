namespace LlavaSharp.Training;

/// <summary>
/// The factor that each parameter group's base learning rate is multiplied by, as Hugging Face's schedulers compute it:
/// steps count from 0, so with any warm-up the first update has factor 0.
/// </summary>
/// <param name="Kind">The shape.</param>
/// <param name="WarmupSteps">Updates over which the factor rises from 0 to 1.</param>
/// <param name="TotalSteps">Updates of the whole run.</param>
public sealed record LearningRateSchedule(ScheduleKind Kind, int WarmupSteps, int TotalSteps)
{
    /// <summary>Makes a schedule whose warm-up is ceil(<paramref name="warmupRatio"/> · <paramref name="totalSteps"/>) updates.</summary>
    /// <param name="kind">The shape.</param>
    /// <param name="warmupRatio">Fraction of the run, 0 to 1.</param>
    /// <param name="totalSteps">Updates of the whole run.</param>
    /// <returns>The schedule.</returns>
    public static LearningRateSchedule FromRatio(ScheduleKind kind, double warmupRatio, int totalSteps) =>
        new(kind, (int)Math.Ceiling(warmupRatio * totalSteps), totalSteps);

    /// <summary>The schedule of a run.</summary>
    /// <param name="options">Shape and warm-up.</param>
    /// <param name="totalSteps">Updates of the whole run.</param>
    /// <returns>The schedule.</returns>
    public static LearningRateSchedule Of(TrainOptions options, int totalSteps) =>
        options.WarmupSteps > 0
            ? new(ParseKind(options.LrSchedulerType), options.WarmupSteps, totalSteps)
            : FromRatio(ParseKind(options.LrSchedulerType), options.WarmupRatio, totalSteps);

    /// <summary>The factor of one update.</summary>
    /// <param name="step">The update, counted from 0.</param>
    /// <returns>A number from 0 to 1.</returns>
    public double Factor(int step)
    {
        if (Kind == ScheduleKind.Constant)
        {
            return 1;
        }

        if (step < WarmupSteps)
        {
            return step / (double)Math.Max(1, WarmupSteps);
        }

        var progress = (step - WarmupSteps) / (double)Math.Max(1, TotalSteps - WarmupSteps);
        return Kind switch
        {
            ScheduleKind.Cosine => Math.Max(0, 0.5 * (1 + Math.Cos(Math.PI * progress))),
            ScheduleKind.Linear => Math.Max(0, 1 - progress),
            _ => 1,
        };
    }

    /// <summary>Reads a kind's name as Hugging Face spells it.</summary>
    /// <param name="name">cosine, linear, constant or constant_with_warmup.</param>
    /// <returns>The kind.</returns>
    /// <exception cref="UserErrorException">The name is none of these.</exception>
    public static ScheduleKind ParseKind(string name) => name switch
    {
        "cosine" => ScheduleKind.Cosine,
        "linear" => ScheduleKind.Linear,
        "constant" => ScheduleKind.Constant,
        "constant_with_warmup" => ScheduleKind.ConstantWithWarmup,
        _ => throw new UserErrorException(
            $"--lr_scheduler_type {name} is not known: use cosine, linear, constant or constant_with_warmup"),
    };
}
