using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace LlavaSharp.Tests.Imaging;

/// <summary>The two parity cases under tests/golden, and just enough safetensors to read their pixels.</summary>
internal static class Golden
{
    public static string Folder { get; } = Find();

    public static Dictionary<string, float[]> Pixels(string name)
    {
        byte[] file = File.ReadAllBytes(Path.Combine(Folder, name, "expected.safetensors"));
        int header = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        using JsonDocument document = JsonDocument.Parse(file.AsMemory(8, header));
        Dictionary<string, float[]> tensors = [];
        foreach (JsonProperty tensor in document.RootElement.EnumerateObject())
        {
            if (tensor.Name.StartsWith("pixel_values/", StringComparison.Ordinal))
            {
                JsonElement offsets = tensor.Value.GetProperty("data_offsets");
                int begin = 8 + header + offsets[0].GetInt32();
                int end = 8 + header + offsets[1].GetInt32();
                tensors[tensor.Name["pixel_values/".Length..]] =
                    MemoryMarshal.Cast<byte, float>(file.AsSpan(begin..end)).ToArray();
            }
        }

        return tensors;
    }

    private static string Find()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            string folder = Path.Combine(at.FullName, "tests", "golden", "parity");
            if (Directory.Exists(folder))
            {
                return folder;
            }
        }

        throw new DirectoryNotFoundException("tests/golden/parity was not found above " + AppContext.BaseDirectory);
    }
}
