namespace LlavaSharp.Interop.Tests;

/// <summary>Adapters over the wrappers: the table grows, they train alone, merging keeps the answers, mistakes are named.</summary>
public sealed class LoraTests : IDisposable
{
    private const string Query = "layer.1.self_attn.q_proj.weight";

    private readonly Engine _engine = new(new EngineOptions { Threads = 1 });
    private readonly Model _model;

    public LoraTests() => _model = Tiny.Model(_engine, Tiny.Config);

    public void Dispose()
    {
        _model.Dispose();
        _engine.Dispose();
    }

    [Fact]
    public void An_adapter_ends_the_table()
    {
        int before = _model.Parameters.Count;
        _model.AttachLora(new LoraOptions { Rank = 3, Seed = 9 }, Query);
        Assert.Equivalent(
            new ParameterInfo("layer.1.self_attn.q_proj.lora_A.weight", UnitKinds.Lora, 6, [3, 20], 60, true, false),
            _model.Parameters[before]);
        Assert.Equivalent(
            new ParameterInfo("layer.1.self_attn.q_proj.lora_B.weight", UnitKinds.Lora, 6, [24, 3], 72, true, false, 64),
            _model.Parameters[before + 1]);
        Assert.Equal(before + 2, _model.Parameters.Count);
        Assert.All(_model.Read("layer.1.self_attn.q_proj.lora_B.weight"), value => Assert.Equal(0f, value));
        Assert.Contains(_model.Read("layer.1.self_attn.q_proj.lora_A.weight"), value => value != 0f);
    }

    [Fact]
    public void Adapters_train_while_the_base_rests_and_merge_to_the_same_answers()
    {
        PackedBatch batch = Tiny.Mixed(Tiny.Config);
        _model.AttachLora(new LoraOptions { Rank = 4, Alpha = 8, Dropout = 0.1 }, Query);
        _model.AttachLora(new LoraOptions { Rank = 2, RankStabilized = true }, "layer.0.mlp.down_proj.weight");
        float[] weight = _model.Read(Query);
        _model.SetTrainable(UnitKinds.Lora | UnitKinds.Projector);
        using (Trainer trainer = new(_model))
        {
            for (int step = 0; step < 3; step++)
            {
                trainer.Accumulate(batch, 0.1);
                Assert.True(trainer.Step([new ParameterGroup(0.05, 0)], 0) > 0);
            }
        }
        Assert.Equal(weight, _model.Read(Query));
        float[] apart = Logits(batch);
        _model.MergeLora();
        Assert.NotEqual(weight, _model.Read(Query));
        Close(apart, Logits(batch));
        _model.UnmergeLora();
        Close(weight, _model.Read(Query));
        Close(apart, Logits(batch));
    }

    [Fact]
    public void A_decomposed_adapter_has_its_rows_lengths_and_merges_to_the_same_answers()
    {
        _model.AttachLora(new LoraOptions { Rank = 4, Decomposed = true }, Query);
        ParameterInfo lengths = _model.Parameters[^1];
        Assert.Equal(("layer.1.self_attn.q_proj.lora_magnitude_vector", 24L), (lengths.Name, lengths.Count));
        float[] weight = _model.Read(Query), first = _model.Read(lengths.Name);
        Assert.Equal(Math.Sqrt(weight.Take(20).Sum(w => (double)w * w)), first[0], 1e-6);
        PackedBatch batch = Tiny.Mixed(Tiny.Config);
        _model.SetTrainable(UnitKinds.Lora);
        using (Trainer trainer = new(_model))
        {
            trainer.Accumulate(batch, 0.1);
            trainer.Step([new ParameterGroup(0.05, 0)], 0);
        }
        Assert.NotEqual(first, _model.Read(lengths.Name));
        float[] apart = Logits(batch);
        _model.MergeLora();
        Close(apart, Logits(batch));
    }

    [Fact]
    public void Mistakes_are_named()
    {
        LoraOptions options = new() { Rank = 4 };
        Expect(EngineStatus.Unsupported, () => _model.AttachLora(options, "projector.0.weight"), "projector.0.weight");
        Expect(EngineStatus.Invalid, () => _model.AttachLora(options with { Rank = 0 }, Query), "rank is 0");
        Expect(EngineStatus.State, _model.MergeLora, "no adapter");
        Expect(EngineStatus.State, _model.UnmergeLora, "not merged");
        _model.AttachLora(options, Query);
        Expect(EngineStatus.State, () => _model.AttachLora(options, Query), Query);
        _model.SetTrainable(UnitKinds.Lora);
        using Trainer trainer = new(_model);
        Expect(EngineStatus.State, _model.MergeLora, "trainer");
    }

    private static void Expect(EngineStatus status, Action action, string text)
    {
        EngineException exception = Assert.Throws<EngineException>(action);
        Assert.Equal(status, exception.Status);
        Assert.Contains(text, exception.Message, StringComparison.Ordinal);
    }

    private static void Close(float[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        float most = expected.Max(Math.Abs);
        Assert.All(expected.Zip(actual), pair => Assert.InRange(pair.Second, pair.First - (1e-5f * most), pair.First + (1e-5f * most)));
    }

    private float[] Logits(PackedBatch batch)
    {
        float[] logits = new float[2 * Tiny.Config.Vocabulary];
        _model.RunLogits(batch, [3, 8], logits);
        return logits;
    }
}
