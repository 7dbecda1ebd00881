namespace LlavaSharp.Interop;

/// <summary>What a model and a trainer hold at a step, in bytes, computed without making any of it.</summary>
/// <param name="Parameters">As <see cref="MemoryStatistics"/> counts them, exactly.</param>
/// <param name="Gradients">As <see cref="MemoryStatistics"/> counts them, exactly.</param>
/// <param name="Optimizer">As <see cref="MemoryStatistics"/> counts it, exactly.</param>
/// <param name="Transient">As <see cref="MemoryStatistics"/> counts it after a first step, exactly.</param>
/// <param name="Workspace">Activations, as <see cref="MemoryStatistics"/> counts them after a first step, exactly.</param>
/// <param name="Scratch">The most that threads keep for products and attention.</param>
/// <param name="Total">The sum: what a step adds to a process that has only started.</param>
public readonly record struct MemoryPlan(
    long Parameters, long Gradients, long Optimizer, long Transient, long Workspace, long Scratch, long Total)
{
    /// <summary>Plans a step on the CPU.</summary>
    /// <param name="config">The model's shape.</param>
    /// <param name="workload">The step's sizes.</param>
    /// <exception cref="EngineException">A value is out of range; the message names it.</exception>
    public static MemoryPlan Compute(ModelConfig config, Workload workload)
    {
        Native.ModelConfig shape = config.ToNative();
        Native.Workload native = workload.ToNative();
        Native.PlanGet(in shape, in native, out Native.Plan plan).ThrowIfFailed();
        return Of(plan);
    }

    /// <summary>Plans a step of rank 0 of sharded training, of which no rank holds more.</summary>
    /// <param name="config">The model's shape.</param>
    /// <param name="workload">The step's sizes; all of a micro-batch runs at once.</param>
    /// <param name="zero">How training is sharded.</param>
    /// <param name="world">Ranks.</param>
    /// <param name="plan">What each does.</param>
    /// <exception cref="EngineException">A value is out of range; the message names it.</exception>
    public static unsafe MemoryPlan Compute(
        ModelConfig config, Workload workload, ShardingOptions zero, int world, ReadOnlySpan<ShardingStep> plan)
    {
        Native.ModelConfig shape = config.ToNative();
        Native.Workload native = workload.ToNative();
        Native.ZeroOptions sharding = zero.ToNative();
        Native.ZeroStep[] steps = ShardingStep.ToNative(plan);
        fixed (Native.ZeroStep* pointer = steps)
        {
            Native.PlanShardedGet(in shape, in native, in sharding, world, pointer, steps.Length, out Native.Plan result).ThrowIfFailed();
            return Of(result);
        }
    }

    private static MemoryPlan Of(in Native.Plan plan) => new(
        plan.Parameters, plan.Gradients, plan.Optimizer, plan.Transient, plan.Workspace, plan.Scratch, plan.Total);
}
