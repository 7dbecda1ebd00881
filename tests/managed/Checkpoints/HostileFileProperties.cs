using System.Text;
using System.Text.RegularExpressions;
using FsCheck.Xunit;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Tests.Lora;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>Whatever is done to the bytes of weights, of their index and of an adapter, they are read or refused in one line, and nothing
/// is allocated by what they claim.</summary>
public sealed partial class HostileFileProperties : IDisposable
{
    private const long AllocatedMax = 64 << 20;

    private static readonly string[] Values =
    [
        "null", "true", "-1", "0", "2", "1e99", "0.5", "4294967296", "9223372036854775807", "99999999999999999999",
        "\"\"", "\"F16\"", "\"F8_E4M3\"",
        "\"pissa\"", "\"\\ud800\"", "\"../x\"", "[]", "[0]", "[-1, 2]",
        "[2147483647, 2147483647, 2147483647]", "{}", "{\"a\": 1}", "[[[[[[[[[[1]]]]]]]]]]",
        "\"__metadata__\"", "\"dtype\"", "",
    ];

    private readonly TempFolder _folder = new();
    private readonly byte[] _safetensors;
    private readonly byte[] _torch;

    // The suite draws the same cases everywhere; leave Replay out to draw others.
    private const string Seed = "(20261201,296573)";

    public HostileFileProperties()
    {
        TensorSource[] tensors =
        [
            TensorSource.FromFloats("model.mm_projector.0.weight", [2, 3], new float[] { 1, 2, 3, 4, 5, 6 }),
            TensorSource.FromFloats("half", [4], new float[4], TensorType.BF16),
            TensorSource.FromFloats("empty", [0, 4], default),
        ];
        SafetensorsWriter.Write(_folder["whole.safetensors"], tensors);
        TorchArchive.Write(_folder["whole.bin"], tensors);
        _safetensors = File.ReadAllBytes(_folder["whole.safetensors"]);
        _torch = File.ReadAllBytes(_folder["whole.bin"]);
        AdapterWriter.Write(_folder["a"], new TinyAdapter(TinyFolders.Config(), new() { Rank = 2 }).Export());
        _folder.Write("sharded/s.safetensors", _safetensors);
    }

    public void Dispose() => _folder.Dispose();

    [Property(MaxTest = 1500, Replay = Seed)]
    public void Bytes_of_weights(ushort[] at, byte[] values, ushort cut)
    {
        _folder.Write("f.safetensors", Damage(_safetensors, at, values, cut));
        ReadAll(_folder["f.safetensors"]);
        _folder.Write("f.bin", Damage(_torch, at, values, cut));
        ReadAll(_folder["f.bin"]);
    }

    [Property(MaxTest = 1500, Replay = Seed)]
    public void Fields_of_a_header(byte[] which, byte[] values)
    {
        int length = (int)BitConverter.ToInt64(_safetensors);
        byte[] header = Encoding.UTF8.GetBytes(Exchange(Encoding.UTF8.GetString(_safetensors.AsSpan(8, length)), which, values));
        _folder.Write("f.safetensors", [.. BitConverter.GetBytes((long)header.Length), .. header, .. _safetensors[(8 + length)..]]);
        ReadAll(_folder["f.safetensors"]);
    }

    [Property(MaxTest = 500, Replay = Seed)]
    public void Fields_of_an_index(byte[] which, byte[] values)
    {
        const string Index = """
            {"metadata": {"total_size": 32}, "weight_map": {"half": "s.safetensors", "empty": "s.safetensors",
             "model.mm_projector.0.weight": "s.safetensors"}}
            """;
        _folder.Write("sharded/model.safetensors.index.json", Exchange(Index, which, values));
        Survives(() => CheckpointReader.Open(_folder["sharded"]).Dispose());
    }

    [Property(MaxTest = 500, Replay = Seed)]
    public void Fields_of_an_adapter(byte[] which, byte[] values, ushort[] at, byte[] bytes)
    {
        string path = _folder["a/adapter_config.json"], text = File.ReadAllText(path);
        try
        {
            byte[] changed = Encoding.UTF8.GetBytes(Exchange(text, which, values));
            File.WriteAllBytes(path, which.Length % 2 == 0 ? changed : Damage(changed, at, bytes, 0));
            Survives(() =>
            {
                LlavaConfig config = TinyFolders.Config();
                using var adapter = AdapterReader.Open(_folder["a"]);
                var merged = new MergedSource(new TinyModel(config), config, adapter);
                Assert.True(merged.TryGet("layer.0.self_attn.q_proj.weight", out _, out _, out _));
            });
        }
        finally
        {
            File.WriteAllText(path, text);
        }
    }

    private static byte[] Damage(byte[] whole, ushort[] at, byte[] values, ushort cut)
    {
        byte[] bytes = [.. whole];
        for (int i = 0; i < Math.Min(at.Length, values.Length); i++)
        {
            bytes[at[i] % bytes.Length] = values[i];
        }

        return cut % 4 == 1 ? bytes[..(cut % bytes.Length)] : bytes;
    }

    /// <summary>Puts other values in place of numbers, texts, lists and objects of a JSON text.</summary>
    private static string Exchange(string json, byte[] which, byte[] values)
    {
        for (int i = 0; i < Math.Min(which.Length, values.Length); i++)
        {
            MatchCollection found = Value().Matches(json);
            if (found.Count > 0)
            {
                Match match = found[which[i] % found.Count];
                json = string.Concat(
                    json.AsSpan(0, match.Index), Values[values[i] % Values.Length], json.AsSpan(match.Index + match.Length));
            }
        }

        return json;
    }

    private static void ReadAll(string path) => Survives(() =>
    {
        using var reader = CheckpointReader.OpenFile(path);
        foreach (string name in reader.Names)
        {
            Survives(() =>
            {
                Assert.True(reader.TryGet(name, out TensorType type, out long[] shape, out LongBytes bytes));
                Assert.Equal(shape.Aggregate(1L, (a, b) => a * b) * type.ByteSize(), bytes.Length);
            });
        }
    });

    private static void Survives(Action read)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            read();
        }
        catch (UserErrorException e)
        {
            Assert.DoesNotContain('\n', e.Message);
            Assert.DoesNotContain('\0', e.Message);
        }

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, AllocatedMax);
    }

    [GeneratedRegex("""
        "[^"]*"|-?\d+(\.\d+)?|\[[^\[\]]*\]|\{[^{}]*\}|true|false|null
        """)]
    private static partial Regex Value();
}
