using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Parity;

/// <summary>A stage of a case: gradients of the first step, then AdamW updates, then the parameters. The
/// model is put back afterwards.</summary>
internal sealed class ParityTraining(
    ParityCase parity, ParityBreak spoil, Model model, ParityBatch batch, Action<string, double, double, string> line)
{
    private const double LossBound = 1e-5, FirstNormBound = 1e-5, NormBound = 2e-4, GradientBound = 2e-5, ChangeBound = 5e-3;

    public void Run(string stage)
    {
        var trained = stage switch
        {
            "pretrain" => UnitKinds.Projector,
            "tower" => UnitKinds.Vision | UnitKinds.Projector | UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head | UnitKinds.Newline,
            "full" => UnitKinds.Projector | UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head | UnitKinds.Newline,
            _ => throw new UserErrorException($"{parity.Folder}: stage '{stage}' is not known; pretrain and full are"),
        };
        model.SetTrainable(trained);
        var names = model.Parameters.Where(p => (p.Kind & trained) != 0).Select(p => p.Name).ToArray();
        var start = names.ToDictionary(n => n, model.Read, StringComparer.Ordinal);
        var steps = parity.Optimizer.Steps;
        var losses = new double[steps];
        var norms = new double[steps];
        Dictionary<string, float[]> gradients = [];
        var o = parity.Optimizer;
        var supervised = Supervised();
        using (var trainer = new Trainer(model, new TrainerOptions { Beta1 = o.Beta1, Beta2 = o.Beta2, Epsilon = o.Epsilon }))
        {
            trainer.SetGroups([.. model.Parameters.Select(p => p.Decay ? 0 : 1)]);
            for (var s = 0; s < steps; s++)
            {
                losses[s] = trainer.Accumulate(batch.Packed, 1.0 / supervised).Mean;
                if (s == 0)
                {
                    gradients = names.ToDictionary(n => n, n => trainer.ReadSlot(Slot.Gradient, n), StringComparer.Ordinal);
                }

                norms[s] = trainer.Step([new(o.LearningRate, o.WeightDecay), new(o.LearningRate, 0)], o.MaxGradientNorm);
            }
        }

        Gradients(stage, gradients);
        Numbers("losses", stage, losses, Reference(parity.Losses, "losses", stage), LossBound);
        var referenceNorms = Reference(parity.GradientNorms, "grad_norm", stage);
        Numbers("grad_norm", $"{stage} 1", norms[..1], referenceNorms[..1], FirstNormBound);
        if (steps > 1)
        {
            Numbers("grad_norm", $"{stage} 2-{steps}", norms[1..], referenceNorms[1..], NormBound);
        }

        Changes(stage, names.ToDictionary(n => n, model.Read, StringComparer.Ordinal), start);
        foreach (var (name, values) in start)
        {
            var shape = model.Parameter(name).Shape;
            model.Write(name, ElementType.Float32, shape, System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()));
        }
    }

    private int Supervised() => parity.Labels.Sum(l => l.Skip(1).Count(id => id != PackedBatch.IgnoreLabel));

    private double[] Reference(IReadOnlyDictionary<string, double[]> series, string name, string stage) =>
        series.TryGetValue(stage, out var values) && values.Length == parity.Optimizer.Steps
            ? values
            : throw new UserErrorException($"{parity.Folder}: {name} of stage '{stage}' does not have {parity.Optimizer.Steps} values");

    private void Numbers(string quantity, string stage, double[] ours, double[] reference, double bound)
    {
        var worst = 0.0;
        for (var i = 0; i < ours.Length; i++)
        {
            var error = ParityMath.RelativeError(spoil.Apply(quantity, ours[i]), reference[i]);
            worst = ParityMath.Worse(error, worst) ? error : worst;
        }

        line($"{quantity} {stage}", worst, bound, string.Join(' ', ours.Select(v => FormattableString.Invariant($"{v:0.0000}"))));
    }

    private void Gradients(string stage, Dictionary<string, float[]> ours)
    {
        if (spoil.Quantity == "grad")
        {
            spoil.Apply("grad", ours.First().Value);
        }

        Worst("grad", stage, ours, GradientBound, (name, reference) => ParityMath.RelativeError(ours[name], reference));
    }

    private void Changes(string stage, Dictionary<string, float[]> ours, Dictionary<string, float[]> start)
    {
        if (spoil.Quantity == "after")
        {
            spoil.Apply("after", ours.First().Value);
        }

        Worst("after", stage, ours, ChangeBound, (name, reference) => ParityMath.ChangeError(ours[name], reference, start[name]));
    }

    /// <summary>Compares every tensor of a stage. A tensor that only one side has, or of another size, is a failure by name.</summary>
    private void Worst(
        string quantity, string stage, Dictionary<string, float[]> ours, double bound, Func<string, float[], double> measure)
    {
        var prefix = $"{quantity}/{stage}/";
        var missing = ours.Keys.ToHashSet(StringComparer.Ordinal);
        var (worst, worstName) = (-1.0, "");
        foreach (var key in parity.Expected.Where(k => k.StartsWith(prefix, StringComparison.Ordinal)))
        {
            var stored = key[prefix.Length..];
            var reference = parity.Floats(key);
            var error = ParameterNames.TryToCanonical(stored, out var name) && missing.Remove(name) && ours[name].Length == reference.Length
                ? measure(name, reference)
                : double.NaN;
            if (ParityMath.Worse(error, worst))
            {
                (worst, worstName) = (error, double.IsNaN(error) ? $"{stored} (ours has no such tensor, or NaN)" : stored);
            }

            if (double.IsNaN(worst))
            {
                break;
            }
        }

        if (!double.IsNaN(worst) && missing.Count > 0)
        {
            (worst, worstName) = (double.NaN, $"{missing.First()} (not in the reference)");
        }

        line($"{quantity} {stage}", worst, bound, $"{ours.Count} tensors, worst {worstName}");
    }
}
