namespace LlavaSharp.Interop.Tests;

/// <summary>Communicators and sharded trainers over the wrappers: ranks that are threads train as one process does.</summary>
public sealed class ShardedTests
{
    private static readonly ParameterGroup[] Groups = [new(1e-2, 0.1)];

    [Fact]
    public void Ranks_see_each_others_bytes_in_order()
    {
        byte[][] seen = Ranks(3, communicator => communicator.Gather("ranks", [(byte)communicator.Rank, 7]));
        Assert.All(seen, all => Assert.Equal<byte>([0, 7, 1, 7, 2, 7], all));
    }

    [Fact]
    public void A_rank_that_does_not_come_is_named()
    {
        EngineException failure = Assert.Throws<EngineException>(() => new Communicator(new CommunicatorOptions
        {
            Rank = 0,
            World = 2,
            Address = nameof(A_rank_that_does_not_come_is_named),
            Timeout = TimeSpan.FromMilliseconds(200),
        }));
        Assert.Equal(EngineStatus.Comm, failure.Status);
        Assert.Equal("rank 1 has not arrived: step 0, meeting, 0 bytes, after 0.2 s", failure.Message);
    }

    [Fact]
    public void A_rank_that_stops_tells_the_others_why()
    {
        EngineException?[] failures = Ranks(2, communicator =>
        {
            if (communicator.Rank == 1)
            {
                communicator.Stop(3, "no more data");
                return null;
            }
            return Assert.Throws<EngineException>(() => communicator.Gather("loss", [1, 2, 3]));
        });
        Assert.Equal(EngineStatus.Comm, failures[0]!.Status);
        Assert.Equal("rank 1 gave up: no more data", failures[0]!.Message);
    }

    [Fact]
    public void Two_ranks_in_stage_three_train_as_one()
    {
        (double norm, float[] weights)[] ranks = Ranks(2, communicator =>
        {
            using Engine engine = new(new EngineOptions { Threads = 1 });
            using Model model = Tiny.Model(engine, Tiny.TextOnly);
            model.SetTrainable(UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head);
            using Trainer trainer = new(model, null, communicator, new ShardingOptions { Stage = 3 }, Plan());
            PackedBatch batch = Tiny.Batch(Tiny.TextOnly, [3 + communicator.Rank, 9, 4, 1, 7]);
            trainer.Accumulate(batch, 0.1);
            double norm = trainer.Step(Groups, 1);
            Assert.Equal(1, trainer.StepCount);
            Assert.True(trainer.Traffic.Bytes > 0);
            Assert.Equal(
                EngineStatus.State, Assert.Throws<EngineException>(() => model.Read("embed.weight")).Status);
            ShardInfo shard = trainer.Shard(Slot.Weight, 2);
            float[] part = new float[shard.Count];
            trainer.ReadShard(Slot.Weight, 2, part);
            trainer.WriteShard(Slot.Weight, 2, part);
            return (norm, part);
        });
        using Engine engine = new(new EngineOptions { Threads = 1 });
        using Model alone = Tiny.Model(engine, Tiny.TextOnly);
        alone.SetTrainable(UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head);
        using Trainer trainer = new(alone);
        trainer.Accumulate(Tiny.Batch(Tiny.TextOnly, [3, 9, 4, 1, 7]), 0.1);
        trainer.Accumulate(Tiny.Batch(Tiny.TextOnly, [4, 9, 4, 1, 7]), 0.1);
        double norm = trainer.Step(Groups, 1);
        Assert.All(ranks, rank => Assert.Equal(norm, rank.norm, 1e-5 * norm));
        float[] embed = alone.Read("embed.weight");
        float[] sharded = [.. ranks[0].weights, .. ranks[1].weights];
        Assert.All(embed.Zip(sharded), pair => Assert.Equal(pair.First, pair.Second, 1e-5f));
    }

    [Fact]
    public void Ranks_hold_what_was_planned_and_files_hold_the_moments()
    {
        UnitKinds trained = UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head;
        ShardingOptions zero = new() { Stage = 3 };
        Workload workload = new() { Tokens = 5, Samples = 1, Supervised = 4, Units = trained };
        MemoryPlan plan = MemoryPlan.Compute(Tiny.TextOnly, workload, zero, 2, Plan());
        string folder = Directory.CreateTempSubdirectory("offload-").FullName;
        MemoryStatistics[] ranks = Ranks(2, communicator =>
        {
            using Engine engine = new(new EngineOptions { Threads = 1 });
            using Model model = Tiny.Model(engine, Tiny.TextOnly);
            model.SetTrainable(trained);
            TrainerOptions options = new() { OffloadFolder = folder, OffloadOptimizer = true };
            using Trainer trainer = new(model, options, communicator, zero, Plan());
            trainer.Accumulate(Tiny.Batch(Tiny.TextOnly, [3, 9, 4, 1, 7]), 0.1);
            trainer.Step(Groups, 1);
            return engine.Memory();
        });
        Directory.Delete(folder);
        MemoryStatistics first = ranks[0];
        Assert.Equal(
            (plan.Parameters, plan.Gradients, 0, plan.Transient, plan.Workspace, plan.Optimizer),
            (first.Parameters, first.Gradients, first.Optimizer, first.Transient, first.Workspace, first.Mapped));
        Assert.True(plan.Transient > 0 && ranks[1].Mapped <= first.Mapped);
    }

    [Fact]
    public void A_plan_with_a_fault_is_refused_with_the_step()
    {
        using Communicator communicator = new(
            new CommunicatorOptions { Rank = 0, World = 1, Address = nameof(A_plan_with_a_fault_is_refused_with_the_step) });
        using Engine engine = new(new EngineOptions { Threads = 1 });
        using Model model = Tiny.Model(engine, Tiny.TextOnly);
        model.SetTrainable(UnitKinds.Head);
        ShardingStep[] plan = [new(ZeroPhase.Last, ZeroOp.Forward, 2)];
        EngineException failure = Assert.Throws<EngineException>(
            () => new Trainer(model, null, communicator, new ShardingOptions { Stage = 3 }, plan));
        Assert.Equal(EngineStatus.Invalid, failure.Status);
        Assert.Equal("step 0 of the plan (LAST, FORWARD of embed): the weights of embed are not whole", failure.Message);
    }

    // Stage 3, everything trains, nothing is fetched ahead: units 2 … 5 are embed, two layers and the head.
    private static ShardingStep[] Plan()
    {
        List<ShardingStep> plan = [];
        foreach ((ZeroOp op, int unit) in new[] { 2, 3, 4, 5 }.Select(unit => (ZeroOp.Forward, unit))
                     .Concat(new[] { 5, 4, 3, 2 }.Select(unit => (ZeroOp.Backward, unit))))
        {
            ZeroOp[] around = op == ZeroOp.Forward
                ? [ZeroOp.Gather, ZeroOp.Wait, op, ZeroOp.Release]
                : [ZeroOp.Gather, ZeroOp.Wait, op, ZeroOp.Release, ZeroOp.Reduce, ZeroOp.Settle];
            plan.AddRange(around.Select(one => new ShardingStep(ZeroPhase.Last, one, unit)));
        }
        plan.Add(new ShardingStep(ZeroPhase.Update, ZeroOp.Norm, 0));
        plan.AddRange(Enumerable.Range(2, 4).Select(unit => new ShardingStep(ZeroPhase.Update, ZeroOp.Adamw, unit)));
        return [.. plan];
    }

    // Runs a body on a thread for each rank; the first failure is thrown.
    private static T[] Ranks<T>(int world, Func<Communicator, T> body)
    {
        string address = Guid.NewGuid().ToString();
        return [.. Enumerable.Range(0, world).Select(rank => Task.Factory.StartNew(
            () =>
            {
                using Communicator communicator = new(new CommunicatorOptions
                {
                    Rank = rank, World = world, Address = address, Timeout = TimeSpan.FromMinutes(2),
                });
                return body(communicator);
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToArray()
            .Select(task => task.GetAwaiter().GetResult())];
    }
}
