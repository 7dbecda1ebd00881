using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Gguf;

/// <summary>Turns a model's parameters into GGUF tensors, row by row: nothing but a row is held.</summary>
internal static class GgufRows
{
    /// <summary>A parameter as the file has it: its axes as they are, its rows possibly in another order.</summary>
    /// <param name="name">Its name in the file.</param>
    /// <param name="canonical">Its name here.</param>
    /// <param name="shape">Its shape.</param>
    /// <param name="parameters">Where it comes from.</param>
    /// <param name="type">The encoding wanted; one whose blocks do not fit a row becomes F16.</param>
    /// <param name="sourceRow">The row that stands at a place; null means the same.</param>
    internal static GgufTensor Tensor(
        string name, string canonical, long[] shape, IParameterSource parameters, GgufType type, Func<int, int>? sourceRow = null)
    {
        type = type == GgufType.Q8Zero && shape[^1] % GgufTypes.BlockElements != 0 ? GgufType.F16 : type;
        return new(name, type, shape, stream => Write(stream, canonical, shape, parameters, type, sourceRow ?? (row => row)));
    }

    /// <summary>Where llama.cpp wants the rows of a query or key projection: it rotates neighbours, the checkpoints rotate a head's
    /// first half against its second.</summary>
    internal static Func<int, int> Rotary(int headDim) => row =>
        (row / headDim * headDim) + (row % 2 * (headDim / 2)) + (row % headDim / 2);

    private static void Write(
        Stream stream, string canonical, long[] shape, IParameterSource parameters, GgufType type, Func<int, int> sourceRow)
    {
        ParameterCheck.RequireFinite(parameters, canonical, shape, out TensorType stored, out LongBytes bytes);
        int columns = (int)shape[^1];
        long rows = bytes.Length / stored.ByteSize() / columns;
        string name = $"{parameters.Describe(canonical)} ({canonical})";
        float[] values = new float[columns];
        byte[] encoded = new byte[GgufTypes.RowBytes(type, columns)];
        for (int row = 0; row < rows; row++)
        {
            long first = (long)sourceRow(row) * columns;
            TensorConvert.ToFloats(stored, bytes, first, values);
            GgufTypes.RequireFit(values, type, first, shape, name);
            GgufTypes.Encode(values, type, encoded);
            stream.Write(encoded);
        }
    }
}
