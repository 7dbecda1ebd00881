using System.Runtime.InteropServices;

namespace LlavaSharp.Interop.Tests;

/// <summary>The wrappers hand over what they were given: tables, values of every element type, slots, figures.</summary>
public sealed class ModelTests : IDisposable
{
    private readonly Engine _engine = new(new EngineOptions { Threads = 1 });
    private readonly Model _model;

    public ModelTests() => _model = Tiny.Model(_engine, Tiny.Config);

    public void Dispose()
    {
        _model.Dispose();
        _engine.Dispose();
    }

    [Fact]
    public void The_parameter_table_comes_over_whole()
    {
        Assert.Equal(_model.Parameters.Count, _model.Parameters.Select(parameter => parameter.Name).Distinct().Count());
        Assert.Equivalent(
            new ParameterInfo("vision.embeddings.patch_embedding.weight", UnitKinds.Vision, 0, [12, 3, 4, 4], 576, true, false, 16),
            _model.Parameter("vision.embeddings.patch_embedding.weight"));
        Assert.Equivalent(
            new ParameterInfo("projector.2.bias", UnitKinds.Projector, 1, [20], 20, false, false, 672),
            _model.Parameter("projector.2.bias"));
        Assert.Equivalent(
            new ParameterInfo("embed.weight", UnitKinds.Embed, 2, [37, 20], 740, true, false), _model.Parameter("embed.weight"));
        Assert.Equivalent(
            new ParameterInfo("layer.1.self_attn.k_proj.weight", UnitKinds.Layer, 4, [12, 20], 240, true, false, 512),
            _model.Parameter("layer.1.self_attn.k_proj.weight"));
        Assert.Equivalent(
            new ParameterInfo("head.norm.weight", UnitKinds.Head, 5, [20], 20, false, false), _model.Parameter("head.norm.weight"));
    }

    [Theory]
    [InlineData(UnitKinds.None)]
    [InlineData(UnitKinds.Projector)]
    [InlineData(UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head)]
    public void What_trains_is_what_was_chosen(UnitKinds kinds)
    {
        _model.SetTrainable(UnitKinds.Head);
        _model.SetTrainable(kinds);
        Assert.All(_model.Parameters, parameter => Assert.Equal((kinds & parameter.Kind) != 0, parameter.Trainable));
    }

    [Theory]
    [InlineData(ElementType.Float32)]
    [InlineData(ElementType.Float16)]
    [InlineData(ElementType.BFloat16)]
    [InlineData(ElementType.Float64)]
    public void Every_element_type_is_converted(ElementType type)
    {
        // Few bits, so that each type holds them exactly; signs, zeros and a subnormal of float16 among them.
        float[] values = [.. Enumerable.Range(0, 20).Select(index => (index - 9) * MathF.Pow(2, (index % 5) - 2))];
        (values[0], values[1]) = (MathF.Pow(2, -24), -0f);
        byte[] bytes = type switch
        {
            ElementType.Float32 => Bytes(values),
            ElementType.Float16 => Bytes([.. values.Select(value => (Half)value)]),
            ElementType.BFloat16 => Bytes([.. values.Select(value => (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16))]),
            _ => Bytes([.. values.Select(value => (double)value)]),
        };
        _model.Write("head.norm.weight", type, [20], bytes);
        Assert.Equal(Bytes(values), Bytes(_model.Read("head.norm.weight")));

        static byte[] Bytes<T>(T[] array)
            where T : struct => MemoryMarshal.AsBytes(array.AsSpan()).ToArray();
    }

    [Fact]
    public void Drawn_values_depend_on_seed_and_name_alone()
    {
        using Model other = Tiny.Model(_engine, Tiny.TextOnly);
        Assert.Equal(_model.Read("embed.weight"), other.Read("embed.weight"));
        Assert.NotEqual(_model.Read("embed.weight"), _model.Read("head.weight"));
        _model.Fill("embed.weight", Fill.Uniform, 2, 3, 7);
        Assert.All(_model.Read("embed.weight"), value => Assert.InRange(value, 2f, 3f));
        _model.Fill("embed.weight", Fill.Constant, 1.5, 0, 7);
        Assert.All(_model.Read("embed.weight"), value => Assert.Equal(1.5f, value));
    }

    [Fact]
    public void Rows_of_logits_come_in_the_order_asked_for()
    {
        PackedBatch batch = Tiny.Mixed(Tiny.Config);
        float[] all = new float[batch.TokenCount * 37];
        _model.RunLogits(batch, [.. Enumerable.Range(0, batch.TokenCount)], all);
        float[] two = new float[2 * 37];
        _model.RunLogits(batch, [6, 2], two);
        for (int index = 0; index < 37; index++)
        {
            Assert.Equal(all[(6 * 37) + index], two[index], 1e-5f);
            Assert.Equal(all[(2 * 37) + index], two[37 + index], 1e-5f);
        }
    }

    [Fact]
    public void A_run_continues_bit_by_bit_from_what_was_read()
    {
        const UnitKinds Trained = UnitKinds.Projector | UnitKinds.Head;
        ParameterGroup[] groups = [new(1e-2, 0.1)];
        PackedBatch batch = Tiny.Mixed(Tiny.Config);
        _model.SetTrainable(Trained);
        using Trainer trainer = new(_model);
        trainer.Accumulate(batch, 0.1);
        trainer.Step(groups, 1);

        using Model copy = new(_engine, Tiny.Config);
        copy.SetTrainable(Trained);
        using Trainer resumed = new(copy);
        foreach (ParameterInfo parameter in _model.Parameters)
        {
            Span<float> values = _model.Read(parameter.Name);
            copy.Write(parameter.Name, ElementType.Float32, parameter.Shape, MemoryMarshal.AsBytes(values));
            foreach (Slot slot in parameter.Trainable ? [Slot.FirstMoment, Slot.SecondMoment] : Array.Empty<Slot>())
            {
                resumed.WriteSlot(slot, parameter.Name, trainer.ReadSlot(slot, parameter.Name));
            }
        }
        resumed.StepCount = trainer.StepCount;

        LossResult here = trainer.Accumulate(batch, 0.1), there = resumed.Accumulate(batch, 0.1);
        Assert.Equal(here, there);
        Assert.Equal(trainer.Step(groups, 1), resumed.Step(groups, 1));
        Assert.Equal(2, resumed.StepCount);
        Assert.All(_model.Parameters, parameter => Assert.Equal(_model.Read(parameter.Name), copy.Read(parameter.Name)));
    }

    [Fact]
    public void Cleared_gradients_are_forgotten()
    {
        _model.SetTrainable(UnitKinds.Head);
        using Trainer trainer = new(_model);
        PackedBatch batch = Tiny.Text(Tiny.Config);
        trainer.Accumulate(batch, 1);
        float[] once = trainer.ReadSlot(Slot.Gradient, "head.weight");
        Assert.Contains(once, value => value != 0);
        trainer.ClearGradients();
        trainer.Accumulate(batch, 1);
        Assert.Equal(once, trainer.ReadSlot(Slot.Gradient, "head.weight"));
    }

    [Fact]
    public void Figures_of_memory_and_threads_are_the_engines()
    {
        Assert.Equal(1, _engine.Threads);
        MemoryStatistics before = _engine.Memory(resetPeak: true);
        Assert.True(before.Parameters >= 4 * _model.Parameters.Sum(parameter => parameter.Count));
        Assert.True(before.Resident > 0 && before.ResidentPeak >= before.Resident);
        _model.SetTrainable(UnitKinds.Head);
        using Trainer trainer = new(_model);
        trainer.Accumulate(Tiny.Text(Tiny.Config), 1);
        MemoryStatistics after = _engine.Memory();
        Assert.True(after.Gradients > before.Gradients && after.Optimizer > before.Optimizer && after.Peak > before.Parameters);
    }

    [Fact]
    public void One_candidate_is_the_greedy_answer_whatever_the_seed()
    {
        using Generator generator = new(_model);
        PackedBatch prompts = Tiny.Mixed(Tiny.Config);
        SamplingOptions greedy = new() { MaxNewTokens = 6 };
        int[][] expected = generator.Run(prompts, greedy, []).Tokens;
        Assert.Equal(expected, generator.Run(prompts, greedy with { Temperature = 0.8, TopK = 1, Seed = 5 }, []).Tokens);
        SamplingOptions drawn = greedy with { Temperature = 2, Seed = 5 };
        Assert.Equal(generator.Run(prompts, drawn, []).Tokens, generator.Run(prompts, drawn, []).Tokens);
        Assert.NotEqual(expected, generator.Run(prompts, drawn, []).Tokens);
    }
}
