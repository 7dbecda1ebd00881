namespace LlavaSharp.Checkpoints;

/// <summary>Compares what a checkpoint holds with what a config says.</summary>
internal static class ParameterCheck
{
    /// <summary>Finds a parameter of that shape.</summary>
    /// <exception cref="UserErrorException">It is missing, or has another shape or no float type.</exception>
    internal static void Require(
        IParameterSource source, string name, ReadOnlySpan<long> shape, out TensorType type, out ReadOnlySpan<byte> bytes)
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
}
