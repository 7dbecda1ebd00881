namespace LlavaSharp.Interop.Tests;

/// <summary>Callbacks come through, may stop a run and may throw; what they throw arrives where the run was started.</summary>
public sealed class CallbackTests : IDisposable
{
    private readonly Engine _engine = new();
    private readonly Model _model;
    private readonly Generator _generator;
    private readonly PackedBatch _prompts = Tiny.Text(Tiny.TextOnly);

    public CallbackTests()
    {
        _model = Tiny.Model(_engine, Tiny.TextOnly);
        _generator = new Generator(_model);
    }

    public void Dispose()
    {
        _generator.Dispose();
        _model.Dispose();
        _engine.Dispose();
    }

    [Fact]
    public void Every_token_is_told_once_and_in_order()
    {
        List<int>[] told = [.. _prompts.Tokens.ToArray().Take(4).Select(_ => new List<int>())];
        GenerationResult result = _generator.Run(_prompts, new SamplingOptions { MaxNewTokens = 9 }, [3], (sequence, token) =>
        {
            told[sequence].Add(token);
            return true;
        });
        Assert.Equal(4, result.Tokens.Length);
        Assert.Equal(result.Tokens, told.Select(list => list.ToArray()));
        Assert.Equal(result.Tokens, _generator.Run(_prompts, new SamplingOptions { MaxNewTokens = 9 }, [3]).Tokens);
    }

    [Fact]
    public void A_stop_token_ends_an_answer_and_is_part_of_it()
    {
        GenerationResult free = _generator.Run(_prompts, new SamplingOptions { MaxNewTokens = 5 }, []);
        int stop = free.Tokens[0][0];
        GenerationResult stopped = _generator.Run(_prompts, new SamplingOptions { MaxNewTokens = 5 }, [stop]);
        Assert.Equal([stop], stopped.Tokens[0]);
        Assert.All(stopped.Tokens, answer => Assert.DoesNotContain(stop, answer.SkipLast(1)));
    }

    [Fact]
    public void Returning_false_stops_the_run()
    {
        int calls = 0;
        Assert.Throws<OperationCanceledException>(() => _generator.Run(
            _prompts, new SamplingOptions(), [], (_, _) => ++calls < 3));
        Assert.Equal(3, calls);
        Assert.Equal(4, _generator.Run(_prompts, new SamplingOptions { MaxNewTokens = 1 }, []).Tokens.Length);
    }

    [Fact]
    public void An_exception_stops_the_run_and_arrives_whole()
    {
        TimeZoneNotFoundException thrown = new("from the callback");
        int calls = 0;
        TimeZoneNotFoundException caught = Assert.Throws<TimeZoneNotFoundException>(() => _generator.Run(
            _prompts, new SamplingOptions(), [], (_, _) => ++calls == 3 ? throw thrown : true));
        Assert.Same(thrown, caught);
        Assert.Equal(3, calls);
        Assert.Equal(4, _generator.Run(_prompts, new SamplingOptions { MaxNewTokens = 1 }, []).Tokens.Length);
    }

    [Fact]
    public void Many_calls_survive_the_collector()
    {
        int calls = 0;
        for (int round = 0; round < 10; round++)
        {
            // A fresh delegate a run, which nothing but the run holds.
            object witness = new();
            _generator.Run(_prompts, new SamplingOptions { MaxNewTokens = 50 }, [], (_, _) =>
            {
                if (++calls % 16 == 0)
                {
                    GC.Collect(0, GCCollectionMode.Forced, blocking: true, compacting: true);
                }
                return witness is not null;
            });
        }
        Assert.Equal(10 * 4 * 50, calls);
    }

    [Fact]
    public void A_second_thread_is_told_that_the_engine_is_busy()
    {
        EngineStatus elsewhere = EngineStatus.Ok, here = EngineStatus.Ok;
        string message = "";
        _generator.Run(_prompts, new SamplingOptions { MaxNewTokens = 1 }, [], (_, _) =>
        {
            Thread other = new(() =>
            {
                elsewhere = Native.EngineThreadsGet(_engine.Handle, out int _);
                message = Native.Message;
            });
            other.Start();
            other.Join();
            here = Native.EngineThreadsGet(_engine.Handle, out int _);
            return true;
        });
        Assert.Equal(EngineStatus.Busy, elsewhere);
        Assert.NotEmpty(message);
        Assert.Equal(EngineStatus.State, here);
        Assert.True(_engine.Threads > 0);
    }

    [Fact]
    public void Another_thread_may_release_and_may_use_an_engine_of_its_own()
    {
        Model spare = Tiny.Model(_engine, Tiny.TextOnly);
        spare.SetTrainable(UnitKinds.Head);
        Trainer trainer = new(spare);
        int threads = 0;
        _generator.Run(_prompts, new SamplingOptions { MaxNewTokens = 2 }, [], (_, _) =>
        {
            Thread other = new(() =>
            {
                spare.Dispose();
                trainer.Dispose();
                using Engine own = new();
                threads = own.Threads;
            });
            other.Start();
            other.Join();
            return true;
        });
        Assert.True(threads > 0);
    }
}
