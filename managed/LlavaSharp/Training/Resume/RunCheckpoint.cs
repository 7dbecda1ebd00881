using System.Runtime.InteropServices;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Training.Resume;

/// <summary>
/// The tensors of a checkpoint: weights.safetensors, the parameters that train, and optimizer.safetensors, AdamW's moments,
/// both float32, which is what they are. Frozen parameters stay where they were read from.
/// </summary>
public static class RunCheckpoint
{
    /// <summary>File of the trained parameters, under canonical names.</summary>
    public const string WeightsFile = "weights.safetensors";

    /// <summary>File of the moments, under torch's names: exp_avg.NAME and exp_avg_sq.NAME.</summary>
    public const string OptimizerFile = "optimizer.safetensors";

    private static readonly (Slot Slot, string Prefix)[] Moments =
        [(Slot.FirstMoment, "exp_avg."), (Slot.SecondMoment, "exp_avg_sq.")];

    /// <summary>Writes both files.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="model">The model.</param>
    /// <param name="trainer">Its trainer.</param>
    public static void Write(string folder, Model model, Trainer trainer)
    {
        ParameterInfo[] trained = [.. model.Parameters.Where(p => p.Trainable)];
        var buffer = new float[trained.Max(p => p.Count)];
        SafetensorsWriter.Write(
            Path.Combine(folder, WeightsFile),
            [.. trained.Select(p => Tensor(p.Name, p, values => model.Read(p.Name, values)))]);
        SafetensorsWriter.Write(
            Path.Combine(folder, OptimizerFile),
            [
                .. from moment in Moments
                   from p in trained
                   select Tensor(moment.Prefix + p.Name, p, values => trainer.ReadSlot(moment.Slot, p.Name, values)),
            ]);

        TensorSource Tensor(string name, ParameterInfo p, SpanAction read) => new(name, TensorType.F32, p.Shape, stream =>
        {
            var values = buffer.AsSpan(0, (int)p.Count);
            read(values);
            stream.Write(MemoryMarshal.AsBytes(values));
        });
    }

    /// <summary>Puts both files back, and AdamW's t.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="model">The model.</param>
    /// <param name="trainer">Its trainer.</param>
    /// <param name="optimizerSteps">AdamW's t.</param>
    /// <exception cref="UserErrorException">A tensor is missing, or has another shape.</exception>
    public static void Restore(string folder, Model model, Trainer trainer, long optimizerSteps)
    {
        using (var weights = SafetensorsFile.Open(Path.Combine(folder, WeightsFile)))
        {
            foreach (var p in model.Parameters.Where(p => p.Trainable))
            {
                model.Write(p.Name, ElementType.Float32, p.Shape, Bytes(weights, p.Name, p));
            }
        }

        using var optimizer = SafetensorsFile.Open(Path.Combine(folder, OptimizerFile));
        foreach (var p in model.Parameters.Where(p => p.Trainable))
        {
            foreach (var (slot, prefix) in Moments)
            {
                trainer.WriteSlot(slot, p.Name, MemoryMarshal.Cast<byte, float>(Bytes(optimizer, prefix + p.Name, p)));
            }
        }

        trainer.StepCount = optimizerSteps;
    }

    private static ReadOnlySpan<byte> Bytes(SafetensorsFile file, string name, ParameterInfo parameter)
    {
        var entry = file[name];
        return entry.Type == TensorType.F32 && entry.Shape.SequenceEqual(parameter.Shape)
            ? file.Bytes(name)
            : throw new UserErrorException(
                $"'{file.Path}': {name} is {entry.Type.SafetensorsName()} [{string.Join(", ", entry.Shape)}], "
                + $"but the model's is F32 [{string.Join(", ", parameter.Shape)}]");
    }

    private delegate void SpanAction(Span<float> values);
}
