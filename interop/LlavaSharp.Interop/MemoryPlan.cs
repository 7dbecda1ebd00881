namespace LlavaSharp.Interop;

/// <summary>What a model and a trainer hold at a step, in bytes, computed without making any of it.</summary>
/// <param name="Parameters">As <see cref="MemoryStatistics"/> counts them, exactly.</param>
/// <param name="Gradients">As <see cref="MemoryStatistics"/> counts them, exactly.</param>
/// <param name="Optimizer">As <see cref="MemoryStatistics"/> counts it, exactly.</param>
/// <param name="Workspace">Activations, as <see cref="MemoryStatistics"/> counts them after a first step, exactly.</param>
/// <param name="Scratch">The most that threads keep for products and attention.</param>
/// <param name="Total">The sum: what a step adds to a process that has only started.</param>
public readonly record struct MemoryPlan(
    long Parameters, long Gradients, long Optimizer, long Workspace, long Scratch, long Total)
{
    /// <summary>Plans a step on the CPU.</summary>
    /// <param name="config">The model's shape.</param>
    /// <param name="workload">The step's sizes.</param>
    /// <exception cref="EngineException">A value is out of range; the message names it.</exception>
    public static MemoryPlan Compute(ModelConfig config, Workload workload)
    {
        Native.WorkloadInit(out Native.Workload native).ThrowIfFailed();
        native.Tokens = workload.Tokens;
        native.Samples = workload.Samples;
        native.Supervised = workload.Supervised;
        native.Images = workload.Images;
        native.Units = (int)workload.Units;
        native.LoraRank = workload.LoraRank;
        native.LoraDecomposed = workload.LoraDecomposed ? 1 : 0;
        native.RecomputeLayers = workload.RecomputeLayers;
        native.Threads = workload.Threads;
        Native.ModelConfig shape = config.ToNative();
        Native.PlanGet(in shape, in native, out Native.Plan plan).ThrowIfFailed();
        return new MemoryPlan(
            plan.Parameters, plan.Gradients, plan.Optimizer, plan.Workspace, plan.Scratch, plan.Total);
    }
}
