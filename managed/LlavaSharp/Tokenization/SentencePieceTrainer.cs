using System.Globalization;
using System.Text;

namespace LlavaSharp.Tokenization;

/// <summary>
/// Trains a SentencePiece BPE model laid out as LLaMA's: three special pieces, 256 byte pieces, merged pieces in the
/// order of their merges (scores 0, -1, -2 …), then single characters. Identity normalisation, a dummy space in
/// front, no extra spaces removed, every digit by itself. The same text gives the same bytes.
/// </summary>
public static class SentencePieceTrainer
{
    /// <summary>Longest merged piece, in characters (UTF-16 units here), SentencePiece's default.</summary>
    private const int MaxPieceLength = 16;

    /// <summary>Share of the text's characters that get a piece; the rest is left to bytes. SentencePiece's default.</summary>
    private const double CharacterCoverage = 0.9995;

    private const int FixedPieces = 3 + 256;

    /// <summary>Trains a model.</summary>
    /// <param name="text">The text, in pieces of any size; each line in it is a sentence.</param>
    /// <param name="vocabularySize">Number of pieces, met exactly.</param>
    /// <returns>The bytes of tokenizer.model, a ModelProto.</returns>
    /// <exception cref="UserErrorException">
    /// The size is too small for the text's characters, or the text too small for the size.
    /// </exception>
    public static byte[] TrainBpe(IEnumerable<string> text, int vocabularySize)
    {
        var words = BpeWords.Count(text);
        var characters = Characters(words);
        if (vocabularySize < FixedPieces + characters.Count)
        {
            throw new UserErrorException(
                $"a vocabulary of {vocabularySize} pieces is too small: {FixedPieces} special and byte pieces and "
                + $"{characters.Count} characters need {FixedPieces + characters.Count}");
        }

        var wanted = vocabularySize - FixedPieces - characters.Count;
        var merged = new BpeMerges(words, characters, MaxPieceLength).Take(wanted);
        if (merged.Count < wanted)
        {
            throw new UserErrorException(
                $"the text is too small for a vocabulary of {vocabularySize} pieces: it gives "
                + $"{FixedPieces + characters.Count + merged.Count}; ask for fewer, or train on more text");
        }

        return Model(merged, characters).ToBytes((float)CharacterCoverage, MaxPieceLength);
    }

    /// <summary>The characters that get a piece, most frequent first, equal ones by code point. The space mark is always there.</summary>
    private static List<string> Characters(IReadOnlyDictionary<string, long> words)
    {
        var counts = new Dictionary<Rune, long> { [new Rune(BpeWords.SpaceMark)] = 1 };
        foreach (var (word, count) in words)
        {
            foreach (var rune in word.EnumerateRunes())
            {
                counts[rune] = counts.GetValueOrDefault(rune) + count;
            }
        }

        var needed = counts.Values.Sum() * CharacterCoverage;
        var covered = 0L;
        var kept = new List<string>();
        foreach (var (rune, count) in counts.OrderByDescending(c => c.Value).ThenBy(c => c.Key.Value))
        {
            if (covered < needed || rune.Value == BpeWords.SpaceMark)
            {
                kept.Add(rune.ToString());
            }

            covered += count;
        }

        return kept;
    }

    private static SentencePieceModel Model(List<string> merged, List<string> characters)
    {
        var model = new SentencePieceModel
        {
            ModelType = 2,
            ByteFallback = true,
            NormalizerName = "identity",
            AddDummyPrefix = true,
            RemoveExtraWhitespaces = false,
            EscapeWhitespaces = true,
        };
        model.Pieces.Add(new SentencePiece("<unk>", 0, SentencePieceType.Unknown));
        model.Pieces.Add(new SentencePiece("<s>", 0, SentencePieceType.Control));
        model.Pieces.Add(new SentencePiece("</s>", 0, SentencePieceType.Control));
        for (var b = 0; b < 256; b++)
        {
            model.Pieces.Add(new SentencePiece(
                string.Create(CultureInfo.InvariantCulture, $"<0x{b:X2}>"), 0, SentencePieceType.Byte));
        }

        foreach (var piece in merged.Concat(characters))
        {
            model.Pieces.Add(new SentencePiece(piece, FixedPieces - model.Pieces.Count, SentencePieceType.Normal));
        }

        return model;
    }
}
