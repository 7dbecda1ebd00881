namespace LlavaSharp.Training;

/// <summary>The shape of the learning rate over a run.</summary>
public enum ScheduleKind
{
    /// <summary>Half a cosine from 1 to 0 after the warm-up.</summary>
    Cosine,

    /// <summary>A straight line from 1 to 0 after the warm-up.</summary>
    Linear,

    /// <summary>1 from the first step; warm-up does not apply.</summary>
    Constant,

    /// <summary>1 after the warm-up.</summary>
    ConstantWithWarmup,
}
