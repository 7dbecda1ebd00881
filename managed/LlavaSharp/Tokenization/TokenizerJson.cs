using System.Text.Encodings.Web;
using System.Text.Json;

namespace LlavaSharp.Tokenization;

/// <summary>
/// Writes tokenizer.json, the form in which Hugging Face's tokenizers library keeps a model: transformers loads it
/// without sentencepiece or protobuf installed. Ids are those of the SentencePiece model.
/// </summary>
internal static class TokenizerJson
{
    private static readonly JsonWriterOptions Layout = new()
    {
        Indented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Converts a tokenizer.</summary>
    /// <param name="tokenizer">A SentencePiece tokenizer. Its <see cref="LlavaTokenizer.Space"/> decides where the dummy space
    /// goes.</param>
    /// <param name="tokens">All tokens that text is cut at, by id, fitted to that rule (<see cref="SpaceSteps.Fit"/>).</param>
    /// <returns>The file's bytes, UTF-8.</returns>
    public static byte[] Convert(LlavaTokenizer tokenizer, IReadOnlyList<AddedToken> tokens)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, Layout))
        {
            json.WriteStartObject();
            json.WriteString("version", "1.0");
            json.WriteNull("truncation");
            json.WriteNull("padding");
            WriteAddedTokens(json, tokens);
            WriteText(json, tokenizer.Space!, tokens);
            WriteBos(json, tokenizer);
            WriteModel(json, tokenizer);
            json.WriteEndObject();
        }

        return stream.ToArray();
    }

    private static void WriteAddedTokens(Utf8JsonWriter json, IReadOnlyList<AddedToken> tokens)
    {
        json.WriteStartArray("added_tokens");
        foreach (var token in tokens)
        {
            json.WriteStartObject();
            json.WriteNumber("id", token.Id);
            json.WriteString("content", token.Text);
            json.WriteBoolean("single_word", token.SingleWord);
            json.WriteBoolean("lstrip", token.StripLeft);
            json.WriteBoolean("rstrip", token.StripRight);
            json.WriteBoolean("normalized", token.Normalized);
            json.WriteBoolean("special", token.Special);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    /// <summary>Spaces become marks, and some are added. The decoder undoes both.</summary>
    private static void WriteText(Utf8JsonWriter json, SpaceRule rule, IReadOnlyList<AddedToken> tokens)
    {
        var (normalizer, preTokenizer) = SpaceSteps.Write(rule, tokens, splitsWords: false);
        json.WritePropertyName("normalizer");
        json.WriteRawValue(normalizer?.ToJsonString(Plain) ?? "null");
        json.WritePropertyName("pre_tokenizer");
        json.WriteRawValue(preTokenizer?.ToJsonString(Plain) ?? "null");
        json.WritePropertyName("decoder");
        const string Strip = """, {"type": "Strip", "content": " ", "start": 1, "stop": 0}""";
        json.WriteRawValue(
            $$"""
            {"type": "Sequence", "decoders": [
              {"type": "Replace", "pattern": {"String": "{{BpeWords.SpaceMark}}"}, "content": " "},
              {"type": "ByteFallback"}, {"type": "Fuse"}{{(rule.Adds ? Strip : "")}}]}
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

        var bos = JsonSerializer.Serialize(tokenizer.Spelling(tokenizer.BosId), Plain);
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
        var pieces = tokenizer.SentencePieces();
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
