using System.Globalization;
using System.Text;

namespace LlavaSharp.Checkpoints;

/// <summary>Recognises, by its first bytes, a file that stands where another was meant: what a clone without Git LFS leaves, a web
/// page saved in place of a download, an archive, another program's weights. The words say what it is and what to do.</summary>
internal static class FileKinds
{
    /// <summary>Bytes that <see cref="Recognise"/> looks at.</summary>
    internal const int HeadBytes = FileSignatures.HeadBytes;

    /// <summary>What the file is, as the rest of a sentence that begins with its path; null when it is none of these.</summary>
    /// <param name="head">The first <see cref="HeadBytes"/> bytes, or all of a shorter file.</param>
    internal static string? Recognise(ReadOnlySpan<byte> head)
    {
        if (FileSignatures.IsGitLfsPointer(head))
        {
            return $"is a Git LFS pointer in place of the file{Size(head)}; run \"git lfs pull\" in its repository, or download the file";
        }

        if (FileSignatures.IsWebPage(head))
        {
            return "is a web page in place of the file (a login or an error page, as a rule); download the file again";
        }

        // What torch.save writes is a zip.
        if (FileSignatures.Packing(head) is { } packing and not "zip")
        {
            return $"is {(packing is "7z" or "tar" ? $"a {packing} archive" : $"compressed with {packing}")}; unpack it and name what is inside";
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
        [(byte)'G', (byte)'G', (byte)'U', (byte)'F', ..] =>
            "is a GGUF file, which llama.cpp runs and nothing trains; name the folder of the model that it was made from",
        [0x89, (byte)'H', (byte)'D', (byte)'F', ..] => "is an HDF5 file (Keras, TensorFlow); name the PyTorch weights",
        _ when FileSignatures.IsParquet(head) => "is a Parquet file, which holds data and no weights",
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
}
