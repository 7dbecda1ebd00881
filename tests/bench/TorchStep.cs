using System.Diagnostics;
using System.Globalization;
using LlavaSharp.Interop;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlavaSharp.Bench;

/// <summary>Times training steps of the TorchSharp model, or compares its loss with the engine's.</summary>
internal static class TorchStep
{
    /// <summary>Times steps: forward, backward, clipping, AdamW.</summary>
    public static StepFigures Time(StepCase @case)
    {
        Prepare(@case);
        StepData data = new(@case);
        (Tensor ids, Tensor labels, Tensor mask, Tensor pixels) = data.Padded();
        using TorchLlava model = new(@case.Config, Parts(@case));
        Parameter[] trained = [.. model.parameters().Where(parameter => parameter.requires_grad)];
        using optim.Optimizer optimizer = optim.AdamW(trained, 1e-3);
        model.train();
        ResetPeak();
        List<double> times = [];
        double loss = 0;
        for (int step = 0; step <= @case.Steps; step++)
        {
            long start = Stopwatch.GetTimestamp();
            using (NewDisposeScope())
            {
                Tensor value = model.call(ids, labels, mask, pixels);
                value.backward();
                nn.utils.clip_grad_norm_(trained, 1.0);
                optimizer.step();
                optimizer.zero_grad();
                loss = value.item<float>();
            }

            // The first step plans memory and warms caches, on every side.
            if (step > 0)
            {
                times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }

        times.Sort();
        double median = times[times.Count / 2];
        return new("torchsharp", median, @case.Batch / median, data.Tokens / median, PeakMib(), loss);
    }

    /// <summary>The losses of both on the same weights and samples.</summary>
    public static (double Torch, double Engine) Losses(StepCase @case)
    {
        Prepare(@case);
        StepData data = new(@case);
        using DisposeScope scope = NewDisposeScope();
        using Engine engine = new();
        using Model ours = new(engine, @case.Config);
        if (@case.Stage == "lora")
        {
            Adapt(ours);
        }

        TorchParts parts = Parts(@case);
        using TorchLlava theirs = new(@case.Config, parts);
        theirs.eval();
        using (no_grad())
        {
            foreach (ParameterInfo row in ours.Parameters)
            {
                bool gain = row.Shape.Length == 1 && row.Name.EndsWith("weight", StringComparison.Ordinal);
                ours.Fill(row.Name, Fill.Normal, gain ? 1 : 0, row.Shape.Length == 1 ? 0.1 : 0.05, 1);
                // The tower's last layer and its norm are not built there: nothing reads them.
                if (parts.Parameters.Remove(row.Name, out Parameter? parameter))
                {
                    parameter.copy_(tensor(ours.Read(row.Name), row.Shape).reshape(parameter.shape));
                }
            }

            if (parts.Parameters.Count > 0)
            {
                throw new InvalidOperationException($"the engine has no {parts.Parameters.Keys.First()}");
            }

            PackedBatch batch = data.Packed();
            double[] sums = new double[batch.SampleCount];
            long[] tokens = new long[batch.SampleCount];
            ours.RunLoss(batch, sums, tokens);
            (Tensor ids, Tensor labels, Tensor mask, Tensor pixels) = data.Padded();
            return (theirs.call(ids, labels, mask, pixels).item<float>(), sums.Sum() / tokens.Sum());
        }
    }

    private static void Prepare(StepCase @case)
    {
        if (Interop.Tests.Oracle.TorchSharpLibrary.SkipReason is { } reason)
        {
            throw new InvalidOperationException(reason);
        }

        if (@case.Threads > 0)
        {
            set_num_threads(@case.Threads);
        }

        manual_seed(0);
    }

    // The adapters of TorchLora, beside every linear of the decoder; their dropout rests where nothing is learned.
    private static void Adapt(Model model)
    {
        LoraOptions options = new() { Rank = TorchLora.Rank, Alpha = TorchLora.Alpha };
        foreach (ParameterInfo row in model.Parameters.Where(row => row.Name.EndsWith("_proj.weight", StringComparison.Ordinal)
            && row.Name.StartsWith("layer.", StringComparison.Ordinal)).ToArray())
        {
            model.AttachLora(options, row.Name);
        }
    }

    private static TorchParts Parts(StepCase @case) => new(
        name => name.StartsWith("projector.", StringComparison.Ordinal)
            || name.Contains(".lora_", StringComparison.Ordinal)
            || (@case.Stage == "full" && !name.StartsWith("vision.", StringComparison.Ordinal)),
        adapt: @case.Stage == "lora");

    // The process's peak becomes what it holds now: loading and drawing weights is not the step's.
    private static void ResetPeak() => File.WriteAllText("/proc/self/clear_refs", "5");

    private static double PeakMib()
    {
        string line = File.ReadLines("/proc/self/status").First(text => text.StartsWith("VmHWM:", StringComparison.Ordinal));
        // "VmHWM:", a tab, the kibibytes, "kB".
        return double.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
    }
}
