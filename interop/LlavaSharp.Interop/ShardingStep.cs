namespace LlavaSharp.Interop;

/// <summary>One step of a plan of sharded training.</summary>
/// <param name="Phase">When it is done.</param>
/// <param name="Op">What is done.</param>
/// <param name="Unit">Index of the unit it is done to; 0 for <see cref="ZeroOp.Norm"/>.</param>
/// <param name="Joined">Of a gather, reduction or publication: whether it waits for the phase's next one, and shares its exchange.</param>
public readonly record struct ShardingStep(ZeroPhase Phase, ZeroOp Op, int Unit, bool Joined = false)
{
    internal static Native.ZeroStep[] ToNative(ReadOnlySpan<ShardingStep> plan)
    {
        Native.ZeroStep[] steps = new Native.ZeroStep[plan.Length];
        for (int index = 0; index < plan.Length; index++)
        {
            ShardingStep step = plan[index];
            steps[index] = new() { Phase = (int)step.Phase, Op = (int)step.Op, Unit = step.Unit, Joined = step.Joined ? 1 : 0 };
        }
        return steps;
    }
}
