using System.Text.Encodings.Web;
using System.Text.Json;

namespace LlavaSharp.Tokenization;

/// <summary>
/// Writes tokenizer.json, the form in which Hugging Face's tokenizers library keeps a model: transformers loads it
/// without sentencepiece or protobuf installed. Ids are those of the SentencePiece model.
/// </summary>
public static class TokenizerJson
{
    private const string SpaceMark = "\u2581";

    private static readonly JsonWriterOptions Layout = new()
    {
        Indented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Converts a tokenizer.</summary>
    /// <param name="tokenizer">The tokenizer. <see cref="LlavaTokenizer.Legacy"/> decides where the dummy space goes.</param>
    /// <param name="addedTokens">Special tokens behind the pieces, such as <c>&lt;image&gt;</c>, with their ids.</param>
    /// <returns>The file's bytes, UTF-8.</returns>
    public static byte[] Convert(LlavaTokenizer tokenizer, IEnumerable<KeyValuePair<string, int>> addedTokens)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, Layout))
        {
            json.WriteStartObject();
            json.WriteString("version", "1.0");
            json.WriteNull("truncation");
            json.WriteNull("padding");
            WriteAddedTokens(json, tokenizer, addedTokens);
            WriteText(json, tokenizer.Legacy);
            WriteBos(json, tokenizer);
            WriteModel(json, tokenizer);
            json.WriteEndObject();
        }

        return stream.ToArray();
    }

    private static void WriteAddedTokens(
        Utf8JsonWriter json, LlavaTokenizer tokenizer, IEnumerable<KeyValuePair<string, int>> addedTokens)
    {
        json.WriteStartArray("added_tokens");
        var special = tokenizer.SpecialPieces.Select(p => KeyValuePair.Create(p.Text, p.Id)).Concat(addedTokens);
        foreach (var (text, id) in special.OrderBy(t => t.Value))
        {
            json.WriteStartObject();
            json.WriteNumber("id", id);
            json.WriteString("content", text);
            foreach (var flag in (string[])["single_word", "lstrip", "rstrip", "normalized"])
            {
                json.WriteBoolean(flag, false);
            }

            json.WriteBoolean("special", true);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    /// <summary>
    /// Spaces become marks. A legacy tokenizer puts a mark before every run between special tokens, another one only
    /// before the text's start. The decoder undoes both.
    /// </summary>
    private static void WriteText(Utf8JsonWriter json, bool legacy)
    {
        const string LegacyNormalizer =
            $$"""
            {"type": "Sequence", "normalizers": [
              {"type": "Prepend", "prepend": "{{SpaceMark}}"},
              {"type": "Replace", "pattern": {"String": " "}, "content": "{{SpaceMark}}"}]}
            """;
        const string FirstOnly =
            $$"""{"type": "Metaspace", "replacement": "{{SpaceMark}}", "prepend_scheme": "first", "split": false}""";
        json.WritePropertyName("normalizer");
        json.WriteRawValue(legacy ? LegacyNormalizer : "null");
        json.WritePropertyName("pre_tokenizer");
        json.WriteRawValue(legacy ? "null" : FirstOnly);
        json.WritePropertyName("decoder");
        json.WriteRawValue(
            $$"""
            {"type": "Sequence", "decoders": [
              {"type": "Replace", "pattern": {"String": "{{SpaceMark}}"}, "content": " "},
              {"type": "ByteFallback"}, {"type": "Fuse"},
              {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
            """);
    }

    private static void WriteBos(Utf8JsonWriter json, LlavaTokenizer tokenizer)
    {
        json.WritePropertyName("post_processor");
        if (!tokenizer.AddBos)
        {
            json.WriteNullValue();
            return;
        }

        var bos = JsonSerializer.Serialize(tokenizer.Pieces[tokenizer.BosId].Text);
        json.WriteRawValue(
            $$$"""
            {"type": "TemplateProcessing",
             "single": [{"SpecialToken": {"id": {{{bos}}}, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
             "pair": [{"SpecialToken": {"id": {{{bos}}}, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                      {"SpecialToken": {"id": {{{bos}}}, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
             "special_tokens": { {{{bos}}}: {"id": {{{bos}}}, "ids": [{{{tokenizer.BosId}}}], "tokens": [{{{bos}}}]} } }
            """);
    }

    /// <summary>
    /// The vocabulary and the merges: SentencePiece joins any two neighbours that spell a piece, best score first, so
    /// every split of a piece into two pieces is a merge, and merges rank by the piece's score.
    /// </summary>
    private static void WriteModel(Utf8JsonWriter json, LlavaTokenizer tokenizer)
    {
        var pieces = tokenizer.Pieces;
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        json.WriteNull("dropout");
        json.WriteString("unk_token", pieces[tokenizer.UnknownId].Text);
        json.WriteNull("continuing_subword_prefix");
        json.WriteNull("end_of_word_suffix");
        json.WriteBoolean("fuse_unk", true);
        json.WriteBoolean("byte_fallback", true);
        json.WriteBoolean("ignore_merges", false);
        json.WriteStartObject("vocab");
        for (var id = 0; id < pieces.Count; id++)
        {
            json.WriteNumber(pieces[id].Text, id);
        }

        json.WriteEndObject();
        json.WriteStartArray("merges");
        var normal = pieces.Where(p => p.Type == SentencePieceType.Normal).Select(p => p.Text).ToHashSet(StringComparer.Ordinal);
        foreach (var piece in pieces.Where(p => p.Type == SentencePieceType.Normal).OrderByDescending(p => p.Score))
        {
            for (var cut = 1; cut < piece.Text.Length; cut++)
            {
                var (left, right) = (piece.Text[..cut], piece.Text[cut..]);
                if (normal.Contains(left) && normal.Contains(right))
                {
                    // No piece holds a space. A pair as an array is read only since version 0.20 of the library.
                    json.WriteStringValue($"{left} {right}");
                }
            }
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
