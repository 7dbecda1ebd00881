using System.Runtime.CompilerServices;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Tokenization;

/// <summary>
/// Two BPE models with byte fallback that SentencePiece's own trainer made (698 and 798 pieces, from texts that Debian
/// carries), and what SentencePiece 0.2.2 encodes and decodes with them.
/// </summary>
internal static class TokenizerGolden
{
    public static string ModelPath(string name) => Path.Combine(Folder(), "Golden", name + ".model");

    public static byte[] ModelBytes(string name) => File.ReadAllBytes(ModelPath(name));

    public static LlavaTokenizer Load(string name, bool legacy = true) =>
        LlavaTokenizer.FromBytes(ModelBytes(name), legacy);

    public static string[] EncodeLines() => File.ReadAllLines(Path.Combine(Folder(), "Golden", "sentencepiece.jsonl"));

    private static string Folder([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
