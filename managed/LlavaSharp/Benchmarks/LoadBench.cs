using System.Diagnostics;
using System.Runtime.InteropServices;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Benchmarks;

/// <summary>
/// Times loading a checkpoint whose files are in the page cache, against copying the same bytes with one plain memcpy into
/// memory that is as fresh as the model's. Both pay for the first touch of every page.
/// </summary>
public static class LoadBench
{
    /// <summary>Checks what is loaded, then times; load and copy take turns.</summary>
    /// <param name="folder">A checkpoint folder with safetensors.</param>
    /// <param name="runs">How often each is timed.</param>
    /// <param name="cancellation">Stops between runs.</param>
    /// <returns>Medians.</returns>
    /// <exception cref="UserErrorException">The folder cannot be loaded.</exception>
    public static LoadBenchResult Run(string folder, int runs, CancellationToken cancellation = default)
    {
        string[] files = [.. Directory.GetFiles(folder, "*.safetensors").Order(StringComparer.Ordinal)];
        if (files.Length == 0)
        {
            throw new UserErrorException($"'{folder}' holds no .safetensors file to time");
        }

        long bytes = files.Sum(FileLinks.LengthOf);
        using Engine engine = new();
        Check(engine, folder);
        List<double> loads = [], copies = [];
        for (int run = 0; run < runs; run++)
        {
            cancellation.ThrowIfCancellationRequested();
            copies.Add(files.Sum(Copy));
            long start = Stopwatch.GetTimestamp();
            using LoadedModel loaded = ModelLoader.Load(engine, folder);
            loads.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return new(bytes, Median(loads), Median(copies));
    }

    /// <summary>Writes a LLaMA folder to time where the user names none: eight layers of 768, float32, 432 MB.</summary>
    /// <param name="folder">A new folder.</param>
    public static void WriteModel(string folder)
    {
        TextConfig config = new()
        {
            VocabularySize = 32000,
            HiddenSize = 768,
            IntermediateSize = 2048,
            LayerCount = 8,
            HeadCount = 12,
            KeyValueHeadCount = 12,
            HeadDim = 64,
            RmsNormEpsilon = 1e-5,
            RopeTheta = 10000,
        };
        Directory.CreateDirectory(folder);
        AtomicFile.WriteText(Path.Combine(folder, "config.json"), config.ToJson().ToJsonString());
        SafetensorsWriter.WriteSharded(folder, [.. ParameterTable.Decoder(config).Select(parameter => new TensorSource(
            ParameterNames.FromCanonical(parameter.Key, ParameterNaming.LanguageModel),
            TensorType.F32,
            parameter.Value,
            stream => WriteValues(stream, parameter.Value.Aggregate(1L, (a, b) => a * b))))]);
    }

    // Every value another, so that a tensor in a wrong place is seen.
    private static void WriteValues(Stream stream, long count)
    {
        float[] piece = new float[1 << 16];
        for (long at = 0; at < count; at += piece.Length)
        {
            int length = (int)Math.Min(piece.Length, count - at);
            for (int i = 0; i < length; i++)
            {
                piece[i] = (at + i) * 1e-7f;
            }

            stream.Write(MemoryMarshal.AsBytes(piece.AsSpan(0, length)));
        }
    }

    private static void Check(Engine engine, string folder)
    {
        using LoadedModel loaded = ModelLoader.Load(engine, folder);
        using CheckpointSource source = new(CheckpointReader.Open(folder));
        foreach (ParameterInfo parameter in loaded.Model.Parameters)
        {
            float[] values = loaded.Model.Read(parameter.Name);
            if (source.TryGet(parameter.Name, out TensorType type, out _, out LongBytes stored))
            {
                float[] expected = new float[values.Length];
                TensorConvert.ToFloats(type, stored, 0, expected);
                if (!values.AsSpan().SequenceEqual(expected))
                {
                    throw new InvalidOperationException($"{parameter.Name} was not loaded as it is stored");
                }
            }
        }
    }

    private static unsafe double Copy(string file)
    {
        using MappedFile mapped = MappedFile.Open(file);
        long start = Stopwatch.GetTimestamp();
        void* memory = NativeMemory.Alloc((nuint)mapped.Length);
        const int Piece = 1 << 30;
        for (long at = 0; at < mapped.Length; at += Piece)
        {
            int count = (int)Math.Min(Piece, mapped.Length - at);
            mapped.Span(at, count).CopyTo(new Span<byte>((byte*)memory + at, count));
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        NativeMemory.Free(memory);
        return seconds;
    }

    private static double Median(List<double> times) => times.Order().ElementAt(times.Count / 2);
}
