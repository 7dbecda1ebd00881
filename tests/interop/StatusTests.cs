using System.Runtime.InteropServices;

namespace LlavaSharp.Interop.Tests;

/// <summary>Each status that can be provoked on a CPU is, and its message is one line that holds the values.</summary>
public sealed unsafe class StatusTests : IDisposable
{
    private readonly Engine _engine = new();
    private readonly Model _model;

    public StatusTests() => _model = Tiny.Model(_engine, Tiny.Config);

    public void Dispose()
    {
        _model.Dispose();
        _engine.Dispose();
    }

    [Fact]
    public void Invalid_names_the_argument()
    {
        Expect(EngineStatus.Invalid, () => _model.Fill("layer.9.nothing", Fill.Constant, 0, 0, 0), "layer.9.nothing");
        Expect(EngineStatus.Invalid, () => _model.Read("nothing", new float[1]), "nothing");
        Expect(EngineStatus.Invalid, () => new Model(_engine, Tiny.TextOnly with { Hidden = 0 }).Dispose(), "hidden", "0");
        Expect(EngineStatus.Invalid, () => _model.Parameter("nothing"), "nothing");
        PackedBatch batch = Tiny.Text(Tiny.Config);
        int[] tokens = batch.Tokens.ToArray();
        tokens[3] = 37;
        PackedBatch wrong = new()
        {
            Tokens = tokens,
            Labels = batch.Labels,
            Positions = batch.Positions,
            CuSeqlens = batch.CuSeqlens,
        };
        Expect(EngineStatus.Invalid, () => _model.RunLoss(wrong, new double[4], new long[4]), "37");
    }

    [Fact]
    public void Null_where_something_is_needed_is_invalid()
    {
        nint library = NativeLibrary.Load(Path.Combine(AppContext.BaseDirectory, "libllavasharp.so"));
        nint create = NativeLibrary.GetExport(library, "llv_engine_create");
        Assert.Equal(EngineStatus.Invalid, ((delegate* unmanaged[Cdecl]<void*, void*, EngineStatus>)create)(null, null));
        Assert.NotEmpty(Native.Message);
        nint init = NativeLibrary.GetExport(library, "llv_engine_options_init");
        Assert.Equal(EngineStatus.Invalid, ((delegate* unmanaged[Cdecl]<void*, EngineStatus>)init)(null));
        Assert.NotEmpty(Native.Message);
        nint threads = NativeLibrary.GetExport(library, "llv_engine_threads_get");
        int count;
        Assert.Equal(EngineStatus.Invalid, ((delegate* unmanaged[Cdecl]<void*, int*, EngineStatus>)threads)(null, &count));
        Assert.NotEmpty(Native.Message);
    }

    [Fact]
    public void Shape_has_both_shapes()
    {
        Expect(EngineStatus.Shape, () => new Model(_engine, Tiny.TextOnly with { HeadDim = 5 }).Dispose(), "head_dim", "5");
        ParameterInfo head = _model.Parameter("head.weight");
        Assert.Equal([37L, 20L], head.Shape);
        byte[] bytes = new byte[20 * 37 * 4];
        Expect(EngineStatus.Shape, () => _model.Write(head.Name, ElementType.Float32, [20, 37], bytes), "37", "20");
        Expect(EngineStatus.Shape, () => _model.Write(head.Name, ElementType.Float32, [37, 20], bytes.AsSpan(4)), "2956", "2960");
        Expect(EngineStatus.Shape, () => _model.Read("head.weight", new float[739]), "739", "740");
        Expect(EngineStatus.Shape, () => _model.RunVision(new float[191], new float[48]), "191");
    }

    [Fact]
    public void State_says_what_stands_in_the_way()
    {
        _model.SetTrainable(UnitKinds.Projector);
        using Trainer trainer = new(_model);
        Expect(EngineStatus.State, () => _model.SetTrainable(UnitKinds.Head), "trainer");
        Expect(EngineStatus.State, () => new Trainer(_model).Dispose(), "trainer");
    }

    [Fact]
    public void Unsupported_names_what_is_missing()
    {
        Expect(EngineStatus.Unsupported, () => new Engine(new EngineOptions { Device = Device.Hpu }).Dispose());
        Expect(EngineStatus.Unsupported, () => _model.AttachLora(new LoraOptions { Rank = 1 }, "head.weight"), "head.weight");
    }

    [Fact]
    public void Out_of_memory_has_the_bytes()
    {
        ModelConfig huge = Tiny.TextOnly with { Vocabulary = 1 << 24, Hidden = 1 << 20 };
        InsufficientMemoryException refusal = Assert.Throws<InsufficientMemoryException>(() => new Model(_engine, huge));
        Assert.Matches(@"\d{10,}", refusal.Message);
        // And the engine lives on.
        Assert.True(_engine.Threads > 0);
    }

    [Fact]
    public void Numeric_when_the_loss_is_not_finite()
    {
        _model.SetTrainable(UnitKinds.Projector);
        using Trainer trainer = new(_model);
        float[] values = _model.Read("head.weight");
        values[7] = float.NaN;
        _model.Write("head.weight", ElementType.Float32, [37, 20], MemoryMarshal.AsBytes(values.AsSpan()));
        Expect(EngineStatus.Numeric, () => trainer.Accumulate(Tiny.Mixed(Tiny.Config), 1));
    }

    [Fact]
    public void A_success_clears_the_message()
    {
        Assert.Throws<EngineException>(() => _model.Fill("nothing", Fill.Constant, 0, 0, 0));
        Assert.NotEmpty(Native.Message);
        Assert.True(_engine.Threads > 0);
        Assert.Empty(Native.Message);
    }

    [Fact]
    public void Two_threads_fail_differently_and_read_their_own_message()
    {
        using Barrier barrier = new(2);
        string[] seen = new string[2];
        Thread[] threads = [.. Enumerable.Range(0, 2).Select(index => new Thread(() =>
        {
            using Engine engine = new();
            using Model model = new(engine, Tiny.TextOnly);
            for (int round = 0; round < 100; round++)
            {
                barrier.SignalAndWait();
                EngineStatus status = Native.ModelParameterFill(model.Handle, $"name-{index}-{round}", 0, 0, 0, 0);
                barrier.SignalAndWait();
                seen[index] = Native.Message;
                Assert.Equal(EngineStatus.Invalid, status);
                if (!seen[index].Contains($"name-{index}-{round}", StringComparison.Ordinal))
                {
                    seen[index] = $"round {round}: {seen[index]}";
                    barrier.RemoveParticipant();
                    return;
                }
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.Contains("name-0-99", seen[0]);
        Assert.Contains("name-1-99", seen[1]);
    }

    private static void Expect(EngineStatus status, Action action, params string[] values)
    {
        EngineException refusal = Assert.Throws<EngineException>(action);
        Assert.Equal(status, refusal.Status);
        Assert.NotEmpty(refusal.Message);
        Assert.DoesNotContain('\n', refusal.Message);
        foreach (string value in values)
        {
            Assert.Contains(value, refusal.Message);
        }
    }
}
