using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>Compares what a checkpoint holds with what a config says.</summary>
internal static class ParameterCheck
{
    /// <summary>Finds a parameter of that shape.</summary>
    /// <exception cref="UserErrorException">It is missing, or has another shape or no float type.</exception>
    internal static void Require(
        IParameterSource source, string name, ReadOnlySpan<long> shape, out TensorType type, out LongBytes bytes)
    {
        if (!source.TryGet(name, out type, out long[] stored, out bytes))
        {
            throw new UserErrorException($"{source.Describe(name)} lacks the parameter {name} of shape {TensorTypes.Format(shape)}");
        }

        if (!shape.SequenceEqual(stored))
        {
            throw new UserErrorException($"{source.Describe(name)} has shape {TensorTypes.Format(stored)}, but its config asks for "
                + $"{TensorTypes.Format(shape)} ({name})");
        }

        if (!type.IsFloat())
        {
            throw new UserErrorException($"{source.Describe(name)} has dtype {type.SafetensorsName()}; F32, F16, BF16 or F64 is "
                + "needed");
        }
    }

    /// <summary>Finds a parameter of that shape whose values are all finite.</summary>
    /// <exception cref="UserErrorException">As <see cref="Require"/>, or a value is infinite, no number, or beyond float32.</exception>
    internal static void RequireFinite(
        IParameterSource source, string name, ReadOnlySpan<long> shape, out TensorType type, out LongBytes bytes)
    {
        Require(source, name, shape, out type, out bytes);
        if (FiniteValues.FindOther(type, bytes) is >= 0 and var at)
        {
            throw new UserErrorException($"{source.Describe(name)} ({name}) holds a value that is not finite: "
                + $"{FiniteValues.Place(type, bytes, at, shape)}; training that diverged leaves such weights: take an earlier checkpoint, "
                + "or train again with a lower --learning_rate");
        }
    }
}
