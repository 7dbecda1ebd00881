namespace LlavaSharp.Interop.Tests;

/// <summary>The plan of a step over the wrapper: what the engine then holds, and what is out of range.</summary>
public sealed class PlanTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_step_holds_what_was_planned(int recompute)
    {
        PackedBatch batch = Tiny.Text(Tiny.Config);
        Workload workload = new()
        {
            Tokens = batch.Tokens.Length,
            Samples = batch.SampleCount,
            // Nothing predicts a sample's first token.
            Supervised = Enumerable.Range(0, batch.Labels.Length)
                .Count(index => batch.Labels.Span[index] >= 0 && batch.Positions.Span[index] > 0),
            Units = UnitKinds.Layer | UnitKinds.Head,
            RecomputeLayers = recompute,
        };
        MemoryPlan plan = MemoryPlan.Compute(Tiny.Config, workload);
        using Engine engine = new(new EngineOptions { Threads = 1 });
        using Model model = Tiny.Model(engine, Tiny.Config);
        model.SetTrainable(workload.Units);
        using Trainer trainer = new(model, new TrainerOptions { RecomputeLayers = recompute });
        trainer.Accumulate(batch, 1);
        MemoryStatistics memory = engine.Memory();
        Assert.Equal(
            (memory.Parameters, memory.Gradients, memory.Optimizer, memory.Workspace),
            (plan.Parameters, plan.Gradients, plan.Optimizer, plan.Workspace));
        Assert.Equal(plan.Parameters + plan.Gradients + plan.Optimizer + plan.Transient + plan.Workspace + plan.Scratch, plan.Total);
    }

    [Fact]
    public void What_is_out_of_range_is_named()
    {
        Workload workload = new() { Tokens = 10, Samples = 11, Supervised = 1, Units = UnitKinds.Head };
        EngineException exception = Assert.Throws<EngineException>(() => MemoryPlan.Compute(Tiny.Config, workload));
        Assert.Equal(EngineStatus.Invalid, exception.Status);
        Assert.Contains("samples is 11", exception.Message, StringComparison.Ordinal);
    }
}
