using System.Globalization;
using System.Text;

namespace LlavaSharp.Checkpoints;

/// <summary>Recognises, by its first bytes, a file that stands where another was meant: what a clone without Git LFS leaves, a web
/// page saved in place of a download, an archive, another program's weights. The words say what it is and what to do.</summary>
internal static class FileKinds
{
    /// <summary>Bytes that <see cref="Recognise"/> looks at.</summary>
    internal const int HeadBytes = 512;

    private const string Extract = "; unpack it and name what is inside";

    /// <summary>What the file is, as the rest of a sentence that begins with its path; null when it is none of these.</summary>
    /// <param name="head">The first <see cref="HeadBytes"/> bytes, or all of a shorter file.</param>
    internal static string? Recognise(ReadOnlySpan<byte> head)
    {
        if (head.StartsWith("version https://git-lfs.github.com/"u8))
        {
            return $"is a Git LFS pointer in place of the file{Size(head)}; run \"git lfs pull\" in its repository, or download the file";
        }

        ReadOnlySpan<byte> text = head.TrimStart(" \t\r\n\uFEFF"u8);
        if (StartsWithIgnoringCase(text, "<!doctype html") || StartsWithIgnoringCase(text, "<html"))
        {
            return "is a web page in place of the file (a login or an error page, as a rule); download the file again";
        }

        return Magic(head);
    }

    /// <summary>As <see cref="Recognise"/>, of a file whose bytes are not at hand.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    internal static string? RecogniseFile(string path)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        byte[] head = new byte[HeadBytes];
        return Recognise(head.AsSpan(0, file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false)));
    }

    private static string? Magic(ReadOnlySpan<byte> head) => head switch
    {
        [0x1f, 0x8b, ..] => "is compressed with gzip" + Extract,
        [0x42, 0x5a, 0x68, ..] => "is compressed with bzip2" + Extract,
        [0xfd, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', ..] => "is compressed with xz" + Extract,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "is compressed with zstd" + Extract,
        [(byte)'7', (byte)'z', 0xbc, 0xaf, ..] => "is a 7z archive" + Extract,
        [(byte)'G', (byte)'G', (byte)'U', (byte)'F', ..] =>
            "is a GGUF file, which llama.cpp runs and nothing trains; name the folder of the model that it was made from",
        [0x89, (byte)'H', (byte)'D', (byte)'F', ..] => "is an HDF5 file (Keras, TensorFlow); name the PyTorch weights",
        [(byte)'P', (byte)'A', (byte)'R', (byte)'1', ..] => "is a Parquet file, which holds data and no weights",
        _ when head.Length >= 262 && head.Slice(257, 5).SequenceEqual("ustar"u8) => "is a tar archive" + Extract,
        _ => null,
    };

    private static string Size(ReadOnlySpan<byte> pointer)
    {
        foreach (string line in Encoding.UTF8.GetString(pointer).Split('\n'))
        {
            if (line.StartsWith("size ", StringComparison.Ordinal)
                && long.TryParse(line.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out long bytes))
            {
                return $" of {bytes} bytes";
            }
        }

        return "";
    }

    private static bool StartsWithIgnoringCase(ReadOnlySpan<byte> text, string start) =>
        text.Length >= start.Length && Encoding.Latin1.GetString(text[..start.Length]).Equals(start, StringComparison.OrdinalIgnoreCase);
}
