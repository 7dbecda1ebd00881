using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>Rows of new tokens below those of a checkpoint: the mean of the others, as LLaVA gives them, so that none is likelier
/// than an ordinary one; or, of the embedding, those that a stage-1 run has trained.</summary>
internal static class AddedRows
{
    /// <summary>The mean of a matrix's rows.</summary>
    /// <param name="type">F32, F16, BF16 or F64.</param>
    /// <param name="bytes">[rows, width].</param>
    /// <param name="width">Its columns.</param>
    internal static float[] Mean(TensorType type, LongBytes bytes, int width)
    {
        double[] sum = new double[width];
        float[] values = new float[width];
        long rows = bytes.Length / type.ByteSize() / width;
        for (long row = 0; row < rows; row++)
        {
            TensorConvert.ToFloats(type, bytes, row * width, values);
            for (int i = 0; i < width; i++)
            {
                sum[i] += values[i];
            }
        }

        return [.. sum.Select(total => (float)(total / rows))];
    }

    /// <summary>A matrix and new rows below it.</summary>
    /// <param name="name">Its canonical name, for messages.</param>
    /// <param name="shape">Of what is stored: [old rows, width].</param>
    /// <param name="storedType">Encoding of what is stored.</param>
    /// <param name="stored">What is stored.</param>
    /// <param name="rows">Rows afterwards.</param>
    /// <param name="given">Where the new rows may stand: alone, or below as many others as the result has; null for none.</param>
    /// <returns>[rows, width] float32.</returns>
    /// <exception cref="UserErrorException">The given rows have another shape.</exception>
    internal static float[] Append(
        string name, long[] shape, TensorType storedType, LongBytes stored, long rows, IParameterSource? given)
    {
        int width = (int)shape[1], added = (int)(rows - shape[0]);
        float[] all = new float[rows * width];
        Span<float> below = all.AsSpan(checked((int)(shape[0] * width)));
        TensorConvert.ToFloats(storedType, stored, 0, all.AsSpan(0, all.Length - below.Length));
        if (given?.TryGet(name, out TensorType type, out long[] other, out LongBytes bytes) == true)
        {
            if (other is not [var count, var across] || across != width || (count != added && count != rows))
            {
                throw new UserErrorException($"{given.Describe(name)} is {TensorTypes.Format(other)}: expected [{added}, {width}], the new "
                    + $"tokens' rows, or [{rows}, {width}], the whole embedding");
            }

            TensorConvert.ToFloats(type, bytes, (count * width) - below.Length, below);
            return all;
        }

        float[] mean = Mean(storedType, stored, width);
        for (int row = 0; row < added; row++)
        {
            mean.CopyTo(below[(row * width)..]);
        }

        return all;
    }
}
