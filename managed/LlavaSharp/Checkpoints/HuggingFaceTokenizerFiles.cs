using System.Globalization;
using System.Text.Json.Nodes;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>Writes a tokenizer as transformers loads it: <c>tokenizer.model</c> for the slow one, <c>tokenizer.json</c>
/// for the fast one (transformers 5 would need packages that few have to convert the former), and their settings.</summary>
internal static class HuggingFaceTokenizerFiles
{
    /// <summary>The files of a Hugging Face LLaVA folder, with <c>&lt;image&gt;</c> and <c>&lt;pad&gt;</c>.</summary>
    internal static void Write(string folder, LlavaTokenizer tokenizer, ExportVocabulary vocabulary, int modelMaxLength) =>
        Write(folder, tokenizer, vocabulary.Added, llava: true, modelMaxLength);

    /// <summary>The files of a language model or of an original LLaVA folder.</summary>
    /// <param name="folder">Where to.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="added">The tokens beyond its pieces; null means its own.</param>
    /// <param name="modelMaxLength">Longest text, in tokens.</param>
    internal static void Write(
        string folder, LlavaTokenizer tokenizer, IReadOnlyList<(int Id, string Text)>? added, int modelMaxLength) =>
        Write(folder, tokenizer, added ?? [.. tokenizer.AddedTokens.Where(token => token.Value >= tokenizer.PieceCount)
            .Select(token => (token.Value, token.Key)).OrderBy(token => token.Value)], llava: false, modelMaxLength);

    private static void Write(
        string folder, LlavaTokenizer tokenizer, IReadOnlyList<(int Id, string Text)> added, bool llava, int modelMaxLength)
    {
        if (tokenizer.IsByteLevel)
        {
            ByteLevelTokenizerFiles.Write(folder, tokenizer, added, llava, modelMaxLength);
            return;
        }

        var model = SentencePieceModel.Parse(tokenizer.ModelBytes);
        AtomicFile.WriteBytes(Path.Combine(folder, "tokenizer.model"), tokenizer.ModelBytes);
        AtomicFile.WriteBytes(Path.Combine(folder, "tokenizer.json"),
            TokenizerJson.Convert(tokenizer, added.Select(token => KeyValuePair.Create(token.Text, token.Id))));
        HuggingFaceLlavaWriter.WriteJson(folder, "tokenizer_config.json",
            Settings(model, tokenizer, added, llava, modelMaxLength));
        HuggingFaceLlavaWriter.WriteJson(folder, "special_tokens_map.json", Specials(model, llava));
        if (added.Count > 0)
        {
            var ids = new JsonObject();
            foreach ((int id, string text) in added)
            {
                ids[text] = id;
            }

            HuggingFaceLlavaWriter.WriteJson(folder, "added_tokens.json", ids);
        }
    }

    /// <summary>A token that text is cut at before anything else, and that is left out when an answer is decoded.</summary>
    internal static JsonObject AddedToken(string text) => new()
    {
        ["content"] = text,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = true,
    };

    private static JsonObject Settings(
        SentencePieceModel model, LlavaTokenizer tokenizer, IReadOnlyList<(int Id, string Text)> added, bool llava, int modelMaxLength)
    {
        var decoder = new JsonObject();
        foreach (int id in (int[])[model.UnknownId, model.BosId, model.EosId])
        {
            decoder[id.ToString(CultureInfo.InvariantCulture)] = AddedToken(model.Pieces[id].Text);
        }

        foreach ((int id, string text) in added)
        {
            decoder[id.ToString(CultureInfo.InvariantCulture)] = AddedToken(text);
        }

        JsonObject settings = Specials(model, llava);
        settings["add_bos_token"] = tokenizer.AddBos;
        settings["add_eos_token"] = false;
        settings["added_tokens_decoder"] = decoder;
        settings["clean_up_tokenization_spaces"] = false;
        settings["legacy"] = tokenizer.Legacy;
        settings["model_max_length"] = modelMaxLength;
        settings["padding_side"] = "right";
        settings["sp_model_kwargs"] = new JsonObject();
        settings["tokenizer_class"] = "LlamaTokenizer";
        if (llava)
        {
            settings["extra_special_tokens"] = new JsonObject { ["image_token"] = ExportVocabulary.ImageText };
            settings["image_token"] = ExportVocabulary.ImageText;
            settings["processor_class"] = "LlavaProcessor";
        }

        return settings;
    }

    private static JsonObject Specials(SentencePieceModel model, bool llava)
    {
        var map = new JsonObject
        {
            ["bos_token"] = model.Pieces[model.BosId].Text,
            ["eos_token"] = model.Pieces[model.EosId].Text,
            ["pad_token"] = llava ? ExportVocabulary.PadText : model.Pieces[model.UnknownId].Text,
            ["unk_token"] = model.Pieces[model.UnknownId].Text,
        };
        if (llava)
        {
            map["image_token"] = ExportVocabulary.ImageText;
        }

        return map;
    }
}
