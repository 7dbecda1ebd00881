using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>Ids of what Hugging Face's layout needs beyond the tokenizer's pieces: <c>&lt;image&gt;</c> and
/// <c>&lt;pad&gt;</c>. A base model lacks them; they then follow the pieces, and the embedding grows by rows.</summary>
/// <param name="ImageToken">Id of <c>&lt;image&gt;</c>.</param>
/// <param name="PadToken">Id of the padding token.</param>
/// <param name="Rows">Rows of the embedding and of the head: unchanged, or a multiple of 64.</param>
/// <param name="Tokens">All tokens that text is cut at, by id; from the last piece on without a gap.</param>
internal sealed record ExportVocabulary(int ImageToken, int PadToken, int Rows, IReadOnlyList<AddedToken> Tokens)
{
    internal const string ImageText = "<image>", PadText = "<pad>", UnusedPrefix = "<unused_";
    private const int RowMultiple = 64;

    /// <summary>Plans the vocabulary of a folder in Hugging Face's layout.</summary>
    /// <exception cref="UserErrorException">The tokenizer belongs to another model.</exception>
    internal static ExportVocabulary Plan(LlavaConfig config, LlavaTokenizer tokenizer)
    {
        ModelLoader.CheckVocabulary(config, tokenizer);
        int pieces = tokenizer.PieceCount;
        var tokens = tokenizer.Tokens.Where(t => t.Text is not (ImageText or PadText)).ToDictionary(t => t.Id);
        int image = config.ImageTokenIndex ?? Named(tokenizer, ImageText) ?? Next(tokens, pieces);
        tokens[image] = new AddedToken(ImageText, image);
        int pad = config.ImageTokenIndex is not null && config.PadTokenId >= pieces && config.PadTokenId != image
            ? config.PadTokenId.Value : Named(tokenizer, PadText) ?? Next(tokens, pieces);
        tokens.TryAdd(pad, new AddedToken(PadText, pad));
        int last = tokens.Keys.Max(), rows = config.Text.VocabularySize;
        return new(image, pad, last < rows ? rows : (last + RowMultiple) / RowMultiple * RowMultiple, Fill(tokens.Values, pieces));
    }

    /// <summary>Tokens by id. A gap behind the pieces is filled with names that no text has: transformers counts the tokens of
    /// tokenizer.json, whatever ids they have, and would move those behind a gap.</summary>
    internal static IReadOnlyList<AddedToken> Fill(IEnumerable<AddedToken> tokens, int pieces)
    {
        var byId = tokens.ToDictionary(t => t.Id);
        for (int id = pieces; id < byId.Keys.DefaultIfEmpty(-1).Max(); id++)
        {
            byId.TryAdd(id, new AddedToken($"{UnusedPrefix}{id}>", id));
        }

        return [.. byId.Values.OrderBy(t => t.Id)];
    }

    private static int? Named(LlavaTokenizer tokenizer, string text) =>
        tokenizer.AddedTokens.TryGetValue(text, out int id) && id >= tokenizer.PieceCount ? id : null;

    private static int Next(Dictionary<int, AddedToken> tokens, int pieces) => Math.Max(pieces, tokens.Keys.DefaultIfEmpty(-1).Max() + 1);
}
