using System.Runtime.InteropServices;

namespace LlavaSharp.Checkpoints;

/// <summary>Turns a model's parameters into tensors to be written: fetched, checked and converted one at a time.</summary>
internal static class ParameterExport
{
    /// <summary>A parameter stored as <paramref name="type"/> under another name.</summary>
    internal static TensorSource Source(
        string storedName, string canonicalName, long[] shape, IParameterSource parameters, TensorType type) =>
        new(storedName, type, shape, stream => Write(stream, canonicalName, shape, parameters, type));

    /// <summary>The first rows of a matrix that the source has with <paramref name="rows"/> rows.</summary>
    internal static TensorSource FirstRows(
        string storedName, string canonicalName, long[] shape, long rows, IParameterSource parameters, TensorType type) =>
        new(storedName, type, shape, stream => TensorSource.WriteFloats(
            stream, Floats(canonicalName, [rows, shape[1]], parameters).AsSpan(0, checked((int)(shape[0] * shape[1]))), type));

    /// <summary>A parameter's values as float32.</summary>
    /// <exception cref="UserErrorException">The source lacks it or has another shape.</exception>
    internal static float[] Floats(string canonicalName, long[] shape, IParameterSource parameters)
    {
        TensorType type = Get(canonicalName, shape, parameters, out ReadOnlySpan<byte> bytes);
        float[] values = new float[bytes.Length / type.ByteSize()];
        TensorConvert.ToFloats(type, bytes, values);
        return values;
    }

    private static void Write(Stream stream, string canonicalName, long[] shape, IParameterSource parameters, TensorType type)
    {
        TensorType stored = Get(canonicalName, shape, parameters, out ReadOnlySpan<byte> bytes);
        if (stored == type)
        {
            stream.Write(bytes);
        }
        else if (stored == TensorType.F32)
        {
            TensorSource.WriteFloats(stream, MemoryMarshal.Cast<byte, float>(bytes), type);
        }
        else
        {
            TensorSource.WriteFloats(stream, Floats(canonicalName, shape, parameters), type);
        }
    }

    private static TensorType Get(string canonicalName, long[] shape, IParameterSource parameters, out ReadOnlySpan<byte> bytes)
    {
        ParameterCheck.Require(parameters, canonicalName, shape, out TensorType type, out bytes);
        return type;
    }
}
