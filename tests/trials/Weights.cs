using System.Security.Cryptography;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Trials;

/// <summary>Compares the safetensors files of two results.</summary>
internal static class Weights
{
    /// <summary>Of all tensors, the largest ‖a − b‖ / ‖a‖, in the norm of Frobenius.</summary>
    public static (double Difference, string Tensor) Compare(string expected, string actual)
    {
        var worst = (Difference: 0.0, Tensor: "");
        var files = Files(expected);
        if (!files.SequenceEqual(Files(actual)))
        {
            throw new TrialException($"{expected} and {actual} hold other files");
        }

        foreach (var name in files)
        {
            using var one = SafetensorsFile.Open(Path.Combine(expected, name));
            using var two = SafetensorsFile.Open(Path.Combine(actual, name));
            if (!one.Names.SequenceEqual(two.Names))
            {
                throw new TrialException($"{expected} and {actual}: {name} hold other tensors");
            }

            foreach (var tensor in one.Names)
            {
                var (a, b) = (Floats(one, tensor), Floats(two, tensor));
                var (norm, gap) = (a.Sum(x => (double)x * x), a.Zip(b).Sum(p => Math.Pow((double)p.First - p.Second, 2)));
                var difference = gap == 0 ? 0 : Math.Sqrt(gap / norm);
                worst = difference > worst.Difference || double.IsNaN(difference) ? (difference, tensor) : worst;
            }
        }

        return worst;
    }

    /// <summary>The result's tensors as they lie on the disk.</summary>
    public static string Hash(string folder) =>
        string.Concat(Files(folder).Select(f => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(Path.Combine(folder, f))))));

    private static string[] Files(string folder) =>
        [.. Directory.GetFiles(folder, "*.safetensors").Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];

    private static float[] Floats(SafetensorsFile file, string name)
    {
        var values = new float[file[name].Shape.Aggregate(1L, (x, y) => x * y)];
        TensorConvert.ToFloats(file[name].Type, file.Bytes(name), 0, values);
        return values;
    }
}
