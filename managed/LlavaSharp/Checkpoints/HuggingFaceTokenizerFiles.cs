using System.Globalization;
using System.Text.Json.Nodes;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>Writes a tokenizer as transformers loads it, with the ids of training: <c>tokenizer.model</c> for the slow one,
/// <c>tokenizer.json</c> for the fast one (transformers 5 would need packages that few have to convert the former), and their
/// settings.</summary>
internal sealed class HuggingFaceTokenizerFiles
{
    private readonly LlavaTokenizer _tokenizer;
    private readonly IReadOnlyList<AddedToken> _tokens;

    /// <summary>Prepares the files.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="tokens">The tokens that text is cut at; null means its own.</param>
    internal HuggingFaceTokenizerFiles(LlavaTokenizer tokenizer, IReadOnlyList<AddedToken>? tokens = null)
    {
        _tokenizer = tokenizer;
        tokens = ExportVocabulary.Fill(tokens ?? tokenizer.Tokens, tokenizer.PieceCount);
        _tokens = tokenizer.Space is { } space ? SpaceSteps.Fit(space, tokens) : tokens;
    }

    /// <summary>Whether the folder is a Hugging Face LLaVA's, with <c>&lt;image&gt;</c>.</summary>
    internal bool IsLlava { get; init; }

    /// <summary>The ids that end an answer, as config.json has them.</summary>
    internal IReadOnlyList<int> EosIds { get; init; } = [];

    /// <summary>The id that pads, as config.json has it.</summary>
    internal int? PadId { get; init; }

    /// <summary>Longest text, in tokens.</summary>
    internal int ModelMaxLength { get; init; } = 2048;

    /// <summary>Whether tokenizer.json is all there is: no slow tokenizer can be made.</summary>
    private bool IsJson => _tokenizer.IsByteLevel || _tokenizer.IsSpacedJson;

    /// <summary>Writes the files into a folder.</summary>
    internal void Write(string folder)
    {
        JsonObject specials = Specials();
        if (IsJson)
        {
            HuggingFaceLlavaWriter.WriteJson(folder, "tokenizer.json", Changed());
        }
        else
        {
            AtomicFile.WriteBytes(Path.Combine(folder, "tokenizer.model"), _tokenizer.ModelBytes);
            AtomicFile.WriteBytes(Path.Combine(folder, "tokenizer.json"), TokenizerJson.Convert(_tokenizer, _tokens));
            WriteAddedTokens(folder);
        }

        HuggingFaceLlavaWriter.WriteJson(folder, "tokenizer_config.json", Settings(specials));
        HuggingFaceLlavaWriter.WriteJson(folder, "special_tokens_map.json", specials);
    }

    /// <summary>The object of a token in tokenizer_config.json, and with its id in tokenizer.json.</summary>
    private static JsonObject Fields(AddedToken token) => new()
    {
        ["content"] = token.Text,
        ["single_word"] = token.SingleWord,
        ["lstrip"] = token.StripLeft,
        ["rstrip"] = token.StripRight,
        ["normalized"] = token.Normalized,
        ["special"] = token.Special,
    };

    /// <summary>The tokenizer.json that was read, with the tokens of this folder and spaces where training puts them.</summary>
    private JsonNode Changed()
    {
        JsonNode file = JsonNode.Parse(_tokenizer.ModelBytes.AsSpan().StartsWith("\ufeff"u8)
            ? _tokenizer.ModelBytes.AsSpan(3) : _tokenizer.ModelBytes)!;
        var list = new JsonArray();
        foreach (AddedToken token in _tokens)
        {
            JsonObject fields = Fields(token);
            fields.Insert(0, "id", token.Id);
            list.Add((JsonNode)fields);
        }

        file["added_tokens"] = list;
        NameUnusedPieces(file["model"]!["vocab"]!.AsObject());
        if (_tokenizer.Space is { } space)
        {
            (file["normalizer"], file["pre_tokenizer"]) = SpaceSteps.Write(space, _tokens, _tokenizer.SplitsWords);
        }

        return file;
    }

    /// <summary>Transformers counts pieces: an id without one would move the tokens behind all of them.</summary>
    private void NameUnusedPieces(JsonObject vocabulary)
    {
        HashSet<int> used = [.. vocabulary.Select(p => (int)p.Value!)];
        for (int id = 0; id < _tokenizer.PieceCount; id++)
        {
            if (!used.Contains(id))
            {
                vocabulary[_tokenizer.Spelling(id) ?? $"{ExportVocabulary.UnusedPrefix}{id}>"] = id;
            }
        }
    }

    private void WriteAddedTokens(string folder)
    {
        var ids = new JsonObject();
        foreach (AddedToken token in _tokens.Where(t => t.Id >= _tokenizer.PieceCount))
        {
            ids[token.Text] = token.Id;
        }

        if (ids.Count > 0)
        {
            HuggingFaceLlavaWriter.WriteJson(folder, "added_tokens.json", ids);
        }
    }

    private JsonObject Settings(JsonObject specials)
    {
        JsonObject settings = (JsonObject)specials.DeepClone();
        var decoder = new JsonObject();
        foreach (AddedToken token in _tokens)
        {
            decoder[token.Id.ToString(CultureInfo.InvariantCulture)] = Fields(token);
        }

        if (!IsJson)
        {
            settings["add_bos_token"] = _tokenizer.AddBos;
            settings["add_eos_token"] = false;
            settings["legacy"] = _tokenizer.Legacy;
            settings["sp_model_kwargs"] = new JsonObject();
        }
        else if (_tokenizer.AddBosSetting is { } adds)
        {
            settings["add_bos_token"] = adds;
        }

        settings["added_tokens_decoder"] = decoder;
        settings["clean_up_tokenization_spaces"] = false;
        settings["model_max_length"] = ModelMaxLength;
        settings["padding_side"] = "right";

        // LlamaTokenizer of transformers 5 makes its own steps from "legacy", which put no mark behind an image.
        settings["tokenizer_class"] = IsJson || IsLlava ? "PreTrainedTokenizerFast" : "LlamaTokenizer";
        if (IsLlava)
        {
            settings["extra_special_tokens"] = new JsonObject { ["image_token"] = ExportVocabulary.ImageText };
            settings["processor_class"] = "LlavaProcessor";
        }

        return settings;
    }

    /// <summary>The named tokens. Where config.json names an end mark, it is the same.</summary>
    private JsonObject Specials()
    {
        string eos = EosIds.Select(id => _tokenizer.SpecialToken(id)?.Text).FirstOrDefault(text => text is not null) ?? _tokenizer.EosPiece;
        string? pad = PadId is { } id ? _tokens.FirstOrDefault(t => t.Id == id)?.Text ?? _tokenizer.Spelling(id) : null;
        string? unknown = _tokenizer.UnknownId >= 0 ? _tokenizer.Spelling(_tokenizer.UnknownId) : null;
        JsonObject map = [];
        if (_tokenizer.BosId >= 0)
        {
            map["bos_token"] = _tokenizer.Spelling(_tokenizer.BosId);
        }

        map["eos_token"] = eos;
        map["pad_token"] = pad ?? unknown ?? eos;
        if (unknown is not null)
        {
            map["unk_token"] = unknown;
        }

        if (IsLlava)
        {
            map["image_token"] = ExportVocabulary.ImageText;
        }

        return map;
    }
}
