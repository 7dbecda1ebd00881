using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>Turns a model's parameters into tensors to be written: fetched, checked and converted one at a time, in pieces.</summary>
internal static class ParameterExport
{
    private const int Piece = 1 << 16;

    /// <summary>A parameter stored as <paramref name="type"/> under another name.</summary>
    /// <remarks>Writing it throws a <see cref="UserErrorException"/> where a value is not finite, or too large for the type.</remarks>
    internal static TensorSource Source(
        string storedName, string canonicalName, long[] shape, IParameterSource parameters, TensorType type) =>
        new(storedName, type, shape, stream => Write(stream, canonicalName, shape, Count(shape), parameters, type));

    /// <summary>The first rows of a matrix that the source has with <paramref name="rows"/> rows.</summary>
    internal static TensorSource FirstRows(
        string storedName, string canonicalName, long[] shape, long rows, IParameterSource parameters, TensorType type) =>
        new(storedName, type, shape, stream => Write(stream, canonicalName, [rows, shape[1]], Count(shape), parameters, type));

    /// <summary>A matrix, and below it <paramref name="added"/> rows that are the mean of the others: what LLaVA gives to new tokens, so
    /// that none of them is likelier than an ordinary one.</summary>
    internal static TensorSource WithMeanRows(
        string storedName, string canonicalName, long[] shape, long added, IParameterSource parameters, TensorType type) =>
        new(storedName, type, [shape[0] + added, shape[1]], stream =>
        {
            Write(stream, canonicalName, shape, Count(shape), parameters, type);
            ParameterCheck.Require(parameters, canonicalName, shape, out TensorType stored, out LongBytes bytes);
            float[] mean = AddedRows.Mean(stored, bytes, (int)shape[1]);
            for (long row = 0; row < added; row++)
            {
                TensorSource.WriteFloats(stream, mean, type);
            }
        });

    /// <summary>A parameter's values as float32.</summary>
    /// <exception cref="UserErrorException">The source lacks it, has another shape, or holds a value that is not finite.</exception>
    internal static float[] Floats(string canonicalName, long[] shape, IParameterSource parameters)
    {
        ParameterCheck.RequireFinite(parameters, canonicalName, shape, out TensorType type, out LongBytes bytes);
        float[] values = new float[Count(shape)];
        TensorConvert.ToFloats(type, bytes, 0, values);
        return values;
    }

    private static void Write(
        Stream stream, string canonicalName, long[] shape, long count, IParameterSource parameters, TensorType type)
    {
        ParameterCheck.RequireFinite(parameters, canonicalName, shape, out TensorType stored, out LongBytes bytes);
        string? name = null;
        float[] buffer = new float[Math.Min(count, Piece)];
        byte[] encoded = new byte[buffer.Length * type.ByteSize()];
        for (long at = 0; at < count; at += Piece)
        {
            int length = (int)Math.Min(Piece, count - at);
            if (stored == type)
            {
                stream.Write(bytes.Slice(at * type.ByteSize(), length * type.ByteSize()));
                continue;
            }

            Span<float> values = buffer.AsSpan(0, length);
            TensorConvert.ToFloats(stored, bytes, at, values);
            FiniteValues.RequireFit(values, at, shape, type, name ??= $"{parameters.Describe(canonicalName)} ({canonicalName})");
            TensorConvert.FromFloats(values, type, encoded.AsSpan(0, length * type.ByteSize()));
            stream.Write(encoded.AsSpan(0, length * type.ByteSize()));
        }
    }

    private static long Count(long[] shape) => shape.Aggregate(1L, (product, axis) => checked(product * axis));
}
