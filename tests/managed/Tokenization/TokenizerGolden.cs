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

    /// <summary>A byte-level BPE that Hugging Face's tokenizers trained: llama3, qwen or gpt2 (tests/peer/make_tokenizers).</summary>
    public static LlavaTokenizer LoadByteLevel(string name) => LlavaTokenizer.Load(Path.Combine(Folder(), "Golden", name + ".json"));

    public static string[] ByteLevelLines() => File.ReadAllLines(Path.Combine(Folder(), "Golden", "bytelevel.jsonl"));

    public static string[] EncodeLines() => File.ReadAllLines(Path.Combine(Folder(), "Golden", "sentencepiece.jsonl"));

    private static string Folder([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
