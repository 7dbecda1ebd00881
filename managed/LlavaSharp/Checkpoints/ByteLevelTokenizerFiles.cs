using System.Globalization;
using System.Text.Json.Nodes;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>Writes a byte-level BPE tokenizer (Llama 3, Qwen) as transformers loads it: the <c>tokenizer.json</c> that was read, with
/// just those tokens beyond its pieces that the layout has, and the settings of a fast tokenizer that is nothing but that file.</summary>
internal static class ByteLevelTokenizerFiles
{
    /// <summary>Writes the files.</summary>
    /// <param name="folder">Where to.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="added">The tokens beyond its pieces; those that its file lacks are added to it.</param>
    /// <param name="llava">Whether the folder is a Hugging Face LLaVA's, with <c>&lt;image&gt;</c> and <c>&lt;pad&gt;</c>.</param>
    /// <param name="modelMaxLength">Longest text, in tokens.</param>
    internal static void Write(
        string folder, LlavaTokenizer tokenizer, IReadOnlyList<(int Id, string Text)> added, bool llava, int modelMaxLength)
    {
        JsonNode file = JsonNode.Parse(tokenizer.ModelBytes)!;
        if (file["added_tokens"] is not JsonArray tokens)
        {
            file["added_tokens"] = tokens = [];
        }

        HashSet<int> kept = [.. added.Select(t => t.Id)];
        tokens.RemoveAll(t => (int)t!["id"]! is var id && id >= tokenizer.PieceCount && !kept.Contains(id));
        HashSet<int> known = [.. tokens.Select(t => (int)t!["id"]!)];
        foreach ((int id, string text) in added.Where(t => !known.Contains(t.Id)))
        {
            JsonObject token = HuggingFaceTokenizerFiles.AddedToken(text);
            token.Insert(0, "id", id);
            tokens.Add((JsonNode)token);
        }

        HuggingFaceLlavaWriter.WriteJson(folder, "tokenizer.json", file);
        JsonObject specials = Specials(tokenizer, llava), settings = (JsonObject)specials.DeepClone();
        var decoder = new JsonObject();
        foreach (JsonNode? token in tokens)
        {
            JsonObject rest = (JsonObject)token!.DeepClone();
            rest.Remove("id");
            decoder[((int)token["id"]!).ToString(CultureInfo.InvariantCulture)] = rest;
        }

        settings["added_tokens_decoder"] = decoder;
        settings["clean_up_tokenization_spaces"] = false;
        settings["model_max_length"] = modelMaxLength;
        settings["padding_side"] = "right";
        settings["tokenizer_class"] = "PreTrainedTokenizerFast";
        if (llava)
        {
            settings["extra_special_tokens"] = new JsonObject { ["image_token"] = ExportVocabulary.ImageText };
            settings["processor_class"] = "LlavaProcessor";
        }

        HuggingFaceLlavaWriter.WriteJson(folder, "tokenizer_config.json", settings);
        HuggingFaceLlavaWriter.WriteJson(folder, "special_tokens_map.json", specials);
    }

    // Nothing else pads: the end mark does where the layout brings no token for it.
    private static JsonObject Specials(LlavaTokenizer tokenizer, bool llava)
    {
        var map = new JsonObject
        {
            ["eos_token"] = tokenizer.EosPiece,
            ["pad_token"] = llava ? ExportVocabulary.PadText : tokenizer.EosPiece,
        };
        if (tokenizer.BosId >= 0)
        {
            map["bos_token"] = tokenizer.Spelling(tokenizer.BosId);
        }

        if (llava)
        {
            map["image_token"] = ExportVocabulary.ImageText;
        }

        return map;
    }
}
