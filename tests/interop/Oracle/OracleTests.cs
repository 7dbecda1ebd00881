using TorchSharp;

namespace LlavaSharp.Interop.Tests.Oracle;

/// <summary>
/// The engine against autograd. Bounds are relative errors ‖ours − reference‖ / ‖reference‖ in float32, those of the
/// parity tool: 1e-5 for what goes forward, 2e-5 for gradients, 2e-4 for losses and norms of later steps, and 5e-3 for the
/// change after steps of AdamW, whose sign-like update makes gradients near zero count.
/// </summary>
public sealed class OracleTests
{
    private const UnitKinds AllButTheTower = UnitKinds.Projector | UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head;
    private const double Forward = 1e-5;
    private const double Backward = 2e-5;
    private const double Later = 2e-4;
    private const double Update = 5e-3;

    private static readonly Dictionary<string, ModelConfig> Configs = new(StringComparer.Ordinal)
    {
        ["mlp2x, grouped queries"] = Tiny.Config,
        ["linear, class token, gelu tower, last layer"] = Tiny.Config with
        {
            Projector = ProjectorKind.Linear,
            ProjectorDepth = 1,
            VisionKeepClassToken = true,
            VisionActivation = Activation.Gelu,
            VisionFeatureLayer = -1,
            KvHeads = 4,
            HeadDim = 12,
        },
        ["identity, embeddings of the tower, one key head"] = Tiny.Config with
        {
            VisionHidden = 20,
            Projector = ProjectorKind.Identity,
            ProjectorDepth = 0,
            VisionFeatureLayer = 0,
            KvHeads = 1,
            HeadDim = 2,
            RopeTheta = 500000,
        },
        ["mlp3x, one layer, one head"] = Tiny.Config with
        {
            ProjectorDepth = 3,
            Layers = 1,
            Heads = 1,
            KvHeads = 1,
            HeadDim = 20,
            NormEps = 1e-3,
            RopeType = ElementType.BFloat16,
            VisionNormEps = 1e-3,
        },
        ["text only"] = Tiny.TextOnly,
    };

    public static TheoryData<string> Names { get; } = [.. Configs.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void What_goes_forward_agrees(string name)
    {
        Assert.SkipWhen(TorchSharpLibrary.SkipReason is not null, TorchSharpLibrary.SkipReason ?? "");
        using DisposeScope scope = torch.NewDisposeScope();
        using Engine engine = new();
        using Model model = Tiny.Model(engine, Configs[name]);
        LlavaOracle oracle = new(model);
        PackedBatch batch = Batch(model.Config);

        if (batch.Pixels.Length > 0)
        {
            int rows = batch.ImageSlots.Length;
            float[] features = new float[rows * model.Config.VisionHidden];
            model.RunVision(batch.Pixels.Span, features);
            torch.Tensor expected = oracle.Vision(oracle.Pixels(batch));
            Near("features", expected, features, Forward);
            float[] projected = new float[rows * model.Config.Hidden];
            model.RunProjected(batch.Pixels.Span, projected);
            Near("projected", oracle.Project(expected), projected, Forward);
        }

        int[] every = [.. Enumerable.Range(0, batch.TokenCount)];
        float[] logits = new float[batch.TokenCount * model.Config.Vocabulary];
        model.RunLogits(batch, every, logits);
        Near("logits", oracle.Logits(batch), logits, Forward);

        double[] sums = new double[batch.SampleCount];
        long[] tokens = new long[batch.SampleCount];
        model.RunLoss(batch, sums, tokens);
        Near("loss", oracle.LossSums(batch), [.. sums.Select(sum => (float)sum)], Forward);
        Assert.Equal(Supervised(batch), tokens);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_gradient_agrees(string name)
    {
        Assert.SkipWhen(TorchSharpLibrary.SkipReason is not null, TorchSharpLibrary.SkipReason ?? "");
        UnitKinds[] sets = [UnitKinds.Projector, AllButTheTower, UnitKinds.Embed, UnitKinds.Layer];
        foreach (UnitKinds kinds in sets)
        {
            using DisposeScope scope = torch.NewDisposeScope();
            using Engine engine = new();
            using Model model = Tiny.Model(engine, Configs[name]);
            model.SetTrainable(kinds);
            if (!model.Parameters.Any(parameter => parameter.Trainable))
            {
                continue; // no projector in this one
            }
            LlavaOracle oracle = new(model);
            PackedBatch batch = Batch(model.Config);
            using Trainer trainer = new(model);
            // Twice, with different scales: gradients add up.
            LossResult loss = trainer.Accumulate(batch, 0.25);
            trainer.Accumulate(batch, 0.5);
            torch.Tensor sum = oracle.LossSums(batch).sum();
            (0.75 * sum).backward();

            Near("loss", sum, [(float)loss.Sum], Forward);
            Assert.Equal(Supervised(batch).Sum(), loss.Tokens);
            foreach (ParameterInfo parameter in model.Parameters.Where(parameter => parameter.Trainable))
            {
                torch.Tensor expected = oracle.Parameters[parameter.Name].grad!;
                Near($"{kinds}: {parameter.Name}", expected, trainer.ReadSlot(Slot.Gradient, parameter.Name), Backward);
            }
        }
    }

    [Theory]
    [InlineData(0.5)]
    [InlineData(0)]
    public void Three_steps_of_AdamW_agree(double maxNorm)
    {
        Assert.SkipWhen(TorchSharpLibrary.SkipReason is not null, TorchSharpLibrary.SkipReason ?? "");
        using DisposeScope scope = torch.NewDisposeScope();
        using Engine engine = new();
        using Model model = Tiny.Model(engine, Tiny.Config);
        model.SetTrainable(AllButTheTower);
        LlavaOracle oracle = new(model);
        PackedBatch batch = Batch(model.Config);
        ParameterInfo[] trainable = [.. model.Parameters.Where(parameter => parameter.Trainable)];
        float[][] start = [.. trainable.Select(parameter => model.Read(parameter.Name))];

        using Trainer trainer = new(model, new TrainerOptions { Beta2 = 0.95 });
        trainer.SetGroups([.. model.Parameters.Select(parameter => parameter.Decay ? 0 : 1)]);
        ParameterGroup[] groups = [new(1e-3, 0.1), new(2e-3, 0)];
        torch.optim.Optimizer[] optimizers = [.. groups.Select((group, index) => torch.optim.AdamW(
            trainable.Where(parameter => parameter.Decay == (index == 0)).Select(parameter => oracle.Parameters[parameter.Name]),
            group.LearningRate, 0.9, 0.95, 1e-8, group.WeightDecay))];

        for (int step = 0; step < 3; step++)
        {
            LossResult loss = trainer.Accumulate(batch, 0.1);
            double norm = trainer.Step(groups, maxNorm);
            torch.Tensor sum = oracle.LossSums(batch).sum();
            (0.1 * sum).backward();
            double expected = torch.nn.utils.clip_grad_norm_(
                trainable.Select(parameter => oracle.Parameters[parameter.Name]), maxNorm > 0 ? maxNorm : double.MaxValue);
            Array.ForEach(optimizers, optimizer => optimizer.step());
            Array.ForEach(optimizers, optimizer => optimizer.zero_grad());
            // Later steps start from parameters that differ by the steps before.
            Near($"loss {step}", sum, [(float)loss.Sum], step == 0 ? Forward : Later);
            Assert.Equal(1, norm / expected, step == 0 ? Forward : Later);
        }

        Assert.Equal(3, trainer.StepCount);
        foreach ((ParameterInfo parameter, float[] before) in trainable.Zip(start))
        {
            torch.Tensor was = torch.tensor(before, parameter.Shape).to(torch.ScalarType.Float64);
            float[] change = [.. model.Read(parameter.Name).Zip(before, (now, then) => now - then)];
            Near($"change of {parameter.Name}", oracle.Parameters[parameter.Name] - was, change, Update);
        }
    }

    private static PackedBatch Batch(ModelConfig config) => config.VisionHidden == 0 ? Tiny.Text(config) : Tiny.Mixed(config);

    private static long[] Supervised(PackedBatch batch)
    {
        int[] labels = batch.Labels.ToArray(), starts = batch.CuSeqlens.ToArray();
        return [.. Enumerable.Range(0, batch.SampleCount).Select(sample =>
            labels[(starts[sample] + 1)..starts[sample + 1]].LongCount(label => label != PackedBatch.IgnoreLabel))];
    }

    private static void Near(string what, torch.Tensor expected, float[] actual, double bound)
    {
        double[] reference = expected.reshape(-1).data<double>().ToArray();
        Assert.Equal(reference.Length, actual.Length);
        double difference = Math.Sqrt(reference.Zip(actual).Sum(pair => Math.Pow(pair.First - pair.Second, 2)));
        double norm = Math.Sqrt(reference.Sum(value => value * value));
        double error = norm < 1e-12 ? difference : difference / norm;
        Assert.True(error <= bound, $"{what}: relative error {error:g3}, bound {bound:g3}, norm {norm:g3}");
    }
}
