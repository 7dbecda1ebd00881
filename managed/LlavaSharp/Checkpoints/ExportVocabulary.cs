using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>Ids of what Hugging Face's layout needs beyond the tokenizer's pieces: <c>&lt;image&gt;</c> and
/// <c>&lt;pad&gt;</c>. A base model lacks them; they then follow the pieces, and the embedding grows by rows.</summary>
/// <param name="ImageToken">Id of <c>&lt;image&gt;</c>.</param>
/// <param name="PadToken">Id of <c>&lt;pad&gt;</c>.</param>
/// <param name="Rows">Rows of the embedding and of the head: unchanged, or a multiple of 64.</param>
/// <param name="Added">Tokens beyond the pieces, by id, without a gap: a tokenizer's ids must follow each other.</param>
internal sealed record ExportVocabulary(int ImageToken, int PadToken, int Rows, IReadOnlyList<(int Id, string Text)> Added)
{
    internal const string ImageText = "<image>", PadText = "<pad>", UnusedPrefix = "<unused_";
    private const int RowMultiple = 64;

    internal static ExportVocabulary Plan(LlavaConfig config, LlavaTokenizer tokenizer)
    {
        ModelLoader.CheckVocabulary(config, tokenizer);
        int pieces = tokenizer.PieceCount;
        Dictionary<int, string> names = [];
        foreach ((string text, int id) in tokenizer.AddedTokens)
        {
            if (id >= pieces && text is not (ImageText or PadText))
            {
                names[id] = text;
            }
        }

        int image = config.ImageTokenIndex ?? Named(tokenizer, ImageText, pieces) ?? Next(names, pieces);
        names[image] = ImageText;
        int pad = config.ImageTokenIndex is not null && config.PadTokenId >= pieces && config.PadTokenId != image
            ? config.PadTokenId.Value : Named(tokenizer, PadText, pieces) ?? Next(names, pieces);
        names[pad] = PadText;
        int last = names.Keys.Max(), rows = config.Text.VocabularySize;
        var added = Enumerable.Range(pieces, last + 1 - pieces).Select(id => (id, names.GetValueOrDefault(id, $"{UnusedPrefix}{id}>")));
        return new(image, pad, last < rows ? rows : (last + RowMultiple) / RowMultiple * RowMultiple, [.. added]);
    }

    private static int? Named(LlavaTokenizer tokenizer, string text, int pieces) =>
        tokenizer.AddedTokens.TryGetValue(text, out int id) && id >= pieces ? id : null;

    private static int Next(Dictionary<int, string> names, int pieces) =>
        names.Count == 0 ? pieces : Math.Max(pieces, names.Keys.Max() + 1);
}
