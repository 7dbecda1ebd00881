using System.IO.Hashing;
using System.Runtime.InteropServices;

namespace LlavaSharp.Data;

/// <summary>A number for what a sample teaches: its images and turns, whatever its id and layout.</summary>
internal static class SampleHash
{
    public static UInt128 Of(Sample sample)
    {
        var hash = new XxHash128();
        foreach (var image in sample.Images)
        {
            Append(hash, image);
        }

        // An image's name must not be taken for a turn.
        Append(hash, "\0");
        foreach (var (from, value) in sample.Conversations)
        {
            Append(hash, from);
            Append(hash, value);
        }

        return hash.GetCurrentHashAsUInt128();
    }

    private static void Append(XxHash128 hash, string text)
    {
        hash.Append(MemoryMarshal.AsBytes([text.Length]));
        hash.Append(MemoryMarshal.AsBytes(text.AsSpan()));
    }
}
