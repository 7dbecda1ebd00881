using System.Runtime.CompilerServices;

namespace LlavaSharp.Interop.Tests;

/// <summary>Objects may go in any order, by hand or by the collector, and none is left behind.</summary>
public sealed class LifetimeTests
{
    public static TheoryData<int[]> Orders { get; } = [.. Permutations([0, 1, 2, 3])];

    [Theory]
    [MemberData(nameof(Orders))]
    public void Release_in_any_order_leaves_nothing(int[] order)
    {
        long before = LiveCount();
        Engine engine = new();
        Model model = Tiny.Model(engine, Tiny.TextOnly);
        model.SetTrainable(UnitKinds.Head);
        IDisposable[] all = [engine, model, new Trainer(model), new Generator(model)];
        Assert.Equal(before + 4, EngineLibrary.LiveCount);
        foreach (int index in order)
        {
            all[index].Dispose();
        }
        Assert.Equal(before, EngineLibrary.LiveCount);
    }

    [Fact]
    public void The_collector_alone_releases_everything()
    {
        long before = LiveCount();
        MakeAndForget();
        Assert.Equal(before, LiveCount());

        [MethodImpl(MethodImplOptions.NoInlining)]
        static void MakeAndForget()
        {
            for (int round = 0; round < 10; round++)
            {
                Model model = Tiny.Model(new Engine(), Tiny.TextOnly);
                model.SetTrainable(UnitKinds.Head);
                Trainer trainer = new(model);
                Generator generator = new(model);
                GC.KeepAlive((trainer, generator));
            }
            Assert.True(EngineLibrary.LiveCount >= 4);
        }
    }

    [Fact]
    public void A_child_keeps_its_parent_alive()
    {
        Engine engine = new();
        Model model = Tiny.Model(engine, Tiny.TextOnly);
        model.SetTrainable(UnitKinds.Head);
        using Trainer trainer = new(model);
        engine.Dispose();
        model.Dispose();
        LossResult loss = trainer.Accumulate(Tiny.Text(Tiny.TextOnly), 1);
        Assert.True(loss.Mean > 0);
        Assert.True(trainer.Step([new ParameterGroup(1e-3, 0)], 1) > 0);
    }

    [Fact]
    public void Disposing_twice_is_harmless_and_use_afterwards_is_refused()
    {
        Engine engine = new();
        Model model = new(engine, Tiny.TextOnly);
        model.Dispose();
        model.Dispose();
        engine.Dispose();
        engine.Dispose();
        Assert.Throws<ObjectDisposedException>(() => engine.Threads);
        Assert.Throws<ObjectDisposedException>(() => model.SetTrainable(UnitKinds.Head));
    }

    [Fact]
    public void Releasing_null_is_harmless()
    {
        Native.EngineRelease(0);
        Native.ModelRelease(0);
        Native.TrainerRelease(0);
        Native.GeneratorRelease(0);
    }

    [Fact]
    public void A_failed_creation_leaves_nothing()
    {
        using Engine engine = new();
        long before = LiveCount();
        Assert.Throws<EngineException>(() => new Model(engine, Tiny.TextOnly with { HeadDim = 5 }));
        Assert.Throws<EngineException>(() => new Engine(new EngineOptions { Device = Device.Hpu }));
        Assert.Equal(before, LiveCount());
    }

    private static long LiveCount()
    {
        // What earlier tests forgot is collected first.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        return EngineLibrary.LiveCount;
    }

    private static IEnumerable<int[]> Permutations(int[] items) => items.Length == 1
        ? [items]
        : items.SelectMany(first => Permutations([.. items.Where(item => item != first)])
            .Select(rest => (int[])[first, .. rest]));
}
