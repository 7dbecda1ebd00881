using System.Runtime.InteropServices;

namespace LlavaSharp.Checkpoints;

/// <summary>Rows of new tokens below those of a checkpoint: the mean of the others, as LLaVA gives them, so that none is likelier
/// than an ordinary one; or, of the embedding, those that a stage-1 run has trained.</summary>
internal static class AddedRows
{
    /// <summary>The mean of a matrix's rows.</summary>
    /// <param name="values">[rows, width].</param>
    /// <param name="width">Its columns.</param>
    internal static float[] Mean(ReadOnlySpan<float> values, int width)
    {
        double[] sum = new double[width];
        for (int i = 0; i < values.Length; i++)
        {
            sum[i % width] += values[i];
        }

        int rows = values.Length / width;
        return [.. sum.Select(total => (float)(total / rows))];
    }

    /// <summary>A matrix and new rows below it.</summary>
    /// <param name="name">Its canonical name, for messages.</param>
    /// <param name="shape">Of what is stored: [old rows, width].</param>
    /// <param name="values">What is stored.</param>
    /// <param name="rows">Rows afterwards.</param>
    /// <param name="given">Where the new rows may stand: alone, or below as many others as the result has; null for none.</param>
    /// <returns>[rows, width] float32.</returns>
    /// <exception cref="UserErrorException">The given rows have another shape.</exception>
    internal static byte[] Append(string name, long[] shape, ReadOnlySpan<float> values, long rows, IParameterSource? given)
    {
        int width = (int)shape[1], added = (int)(rows - shape[0]);
        float[] all = new float[rows * width];
        values.CopyTo(all);
        Span<float> below = all.AsSpan(values.Length);
        if (given?.TryGet(name, out TensorType type, out long[] other, out ReadOnlySpan<byte> bytes) == true)
        {
            if (other is not [var count, var across] || across != width || (count != added && count != rows))
            {
                throw new UserErrorException($"{given.Describe(name)} is {TensorTypes.Format(other)}: expected [{added}, {width}], the new "
                    + $"tokens' rows, or [{rows}, {width}], the whole embedding");
            }

            float[] stored = new float[count * width];
            TensorConvert.ToFloats(type, bytes, stored);
            stored.AsSpan(stored.Length - below.Length).CopyTo(below);
            return MemoryMarshal.AsBytes(all.AsSpan()).ToArray();
        }

        float[] mean = Mean(values, width);
        for (int row = 0; row < added; row++)
        {
            mean.CopyTo(below[(row * width)..]);
        }

        return MemoryMarshal.AsBytes(all.AsSpan()).ToArray();
    }
}
