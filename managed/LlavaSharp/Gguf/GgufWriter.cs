using System.Text;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Gguf;

/// <summary>Writes GGUF files, version 3: metadata, a list of tensors, then their bytes, each at a multiple of 32.</summary>
/// <remarks>Format: docs/gguf.md of the ggml project.</remarks>
public static class GgufWriter
{
    private const int Alignment = 32, Version = 3;

    /// <summary>Writes one file, whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="metadata">Its keys.</param>
    /// <param name="tensors">Its tensors; names are at most 63 bytes.</param>
    /// <exception cref="UserErrorException">The path cannot be written.</exception>
    /// <exception cref="ArgumentException">Two tensors have one name, or a name is too long.</exception>
    public static void Write(string path, GgufMetadata metadata, IReadOnlyList<GgufTensor> tensors)
    {
        var names = new HashSet<string>();
        if (tensors.FirstOrDefault(t => !names.Add(t.Name) || Encoding.UTF8.GetByteCount(t.Name) > 63) is { } bad)
        {
            throw new ArgumentException($"the tensor name '{bad.Name}' is taken or too long", nameof(tensors));
        }

        AtomicFile.Write(path, file =>
        {
            file.Write(Head(metadata, tensors));
            foreach (GgufTensor tensor in tensors)
            {
                Pad(file);
                long begin = file.Position;
                tensor.WriteTo(file);
                if (file.Position - begin != tensor.ByteCount)
                {
                    throw new InvalidOperationException($"tensor '{tensor.Name}' wrote {file.Position - begin} bytes; its shape needs "
                        + $"{tensor.ByteCount}");
                }
            }

            // Readers map whole blocks of the alignment, the last one too.
            Pad(file);
        });
    }

    private static byte[] Head(GgufMetadata metadata, IReadOnlyList<GgufTensor> tensors)
    {
        using var bytes = new MemoryStream();
        using var writer = new BinaryWriter(bytes);
        writer.Write("GGUF"u8);
        writer.Write(Version);
        writer.Write((ulong)tensors.Count);
        writer.Write((ulong)metadata.Count);
        writer.Write(metadata.Bytes);
        long offset = 0;
        foreach (GgufTensor tensor in tensors)
        {
            GgufMetadata.Text(writer, tensor.Name);
            writer.Write((uint)tensor.Shape.Count);
            foreach (long axis in tensor.Shape.Reverse())
            {
                writer.Write((ulong)axis);
            }

            writer.Write((uint)tensor.Type);
            writer.Write((ulong)offset);
            offset += (tensor.ByteCount + Alignment - 1) / Alignment * Alignment;
        }

        writer.Flush();
        Pad(bytes);
        return bytes.ToArray();
    }

    private static void Pad(Stream stream) => stream.Write(new byte[(int)(-stream.Position & (Alignment - 1))]);
}
