using System.Text.Json.Nodes;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>Makes <c>tokenizer.json</c>, the format of the tokenizers library, from a SentencePiece BPE model. The same
/// ids come out of both: a merge there is a pair of pieces whose union is a piece, and ranks follow its score.</summary>
internal static class FastTokenizer
{
    private const string SpaceMark = "\u2581";

    internal static JsonObject Make(SentencePieceModel model, LlavaTokenizer tokenizer, IReadOnlyList<(int Id, string Text)> added)
    {
        var vocabulary = new JsonObject();
        for (int id = 0; id < model.Pieces.Count; id++)
        {
            vocabulary[model.Pieces[id].Text] = id;
        }

        return new()
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = AddedTokens(model, added),
            ["normalizer"] = Normalizer(model, tokenizer.Legacy),
            ["pre_tokenizer"] = PreTokenizer(model, tokenizer.Legacy),
            ["post_processor"] = PostProcessor(model, tokenizer.AddBos),
            ["decoder"] = Decoder(model),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = model.Pieces[model.UnknownId].Text,
                ["continuing_subword_prefix"] = null,
                ["end_of_word_suffix"] = null,
                ["fuse_unk"] = true,
                ["byte_fallback"] = true,
                ["ignore_merges"] = false,
                ["vocab"] = vocabulary,
                ["merges"] = Merges(model),
            },
        };
    }

    /// <summary>Every way to make a piece of two others, best piece first; ways of one piece by their parts' ids.</summary>
    private static JsonArray Merges(SentencePieceModel model)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int id = 0; id < model.Pieces.Count; id++)
        {
            if (model.Pieces[id].Type == SentencePieceType.Normal)
            {
                ids.Add(model.Pieces[id].Text, id);
            }
        }

        var merges = new List<(float Score, int Whole, int Left, int Right)>();
        foreach ((string text, int whole) in ids)
        {
            for (int cut = 1; cut < text.Length; cut++)
            {
                if (ids.TryGetValue(text[..cut], out int left) && ids.TryGetValue(text[cut..], out int right))
                {
                    merges.Add((model.Pieces[whole].Score, whole, left, right));
                }
            }
        }

        return new JsonArray([.. merges.OrderByDescending(m => m.Score).ThenBy(m => m.Whole).ThenBy(m => m.Left).ThenBy(m => m.Right)
            .Select(m => (JsonNode)$"{model.Pieces[m.Left].Text} {model.Pieces[m.Right].Text}")]);
    }

    private static JsonArray AddedTokens(SentencePieceModel model, IReadOnlyList<(int Id, string Text)> added)
    {
        var tokens = new List<(int Id, string Text, bool Special)>();
        tokens.AddRange(new[] { model.UnknownId, model.BosId, model.EosId }.Order().Select(id => (id, model.Pieces[id].Text, true)));
        tokens.AddRange(added.Select(token => (token.Id, token.Text, HuggingFaceTokenizerFiles.IsSpecial(token.Text))));
        return new JsonArray([.. tokens.Select(token =>
        {
            JsonObject json = HuggingFaceTokenizerFiles.AddedToken(token.Text, token.Special);
            json.Insert(0, "id", token.Id);
            return (JsonNode)json;
        })]);
    }

    /// <summary>In the legacy way every run of text between special tokens gets a space in front; in the other way, below,
    /// only the first.</summary>
    private static JsonObject? Normalizer(SentencePieceModel model, bool legacy)
    {
        var steps = new JsonArray();
        if (model.AddDummyPrefix)
        {
            steps.Add(new JsonObject { ["type"] = "Prepend", ["prepend"] = SpaceMark });
        }

        steps.Add(Replace(" ", SpaceMark));
        return legacy ? new() { ["type"] = "Sequence", ["normalizers"] = steps } : null;
    }

    private static JsonObject? PreTokenizer(SentencePieceModel model, bool legacy) => legacy ? null : new()
    {
        ["type"] = "Metaspace",
        ["replacement"] = SpaceMark,
        ["prepend_scheme"] = model.AddDummyPrefix ? "first" : "never",
        ["split"] = false,
    };

    private static JsonObject? PostProcessor(SentencePieceModel model, bool addBos)
    {
        if (!addBos)
        {
            return null;
        }

        string bos = model.Pieces[model.BosId].Text;
        JsonObject Bos(int type) => new() { ["SpecialToken"] = new JsonObject { ["id"] = bos, ["type_id"] = type } };
        JsonObject Text(string name, int type) => new() { ["Sequence"] = new JsonObject { ["id"] = name, ["type_id"] = type } };
        return new()
        {
            ["type"] = "TemplateProcessing",
            ["single"] = new JsonArray(Bos(0), Text("A", 0)),
            ["pair"] = new JsonArray(Bos(0), Text("A", 0), Bos(1), Text("B", 1)),
            ["special_tokens"] = new JsonObject
            {
                [bos] = new JsonObject { ["id"] = bos, ["ids"] = new JsonArray(model.BosId), ["tokens"] = new JsonArray(bos) },
            },
        };
    }

    private static JsonObject Decoder(SentencePieceModel model)
    {
        var steps = new JsonArray(
            Replace(SpaceMark, " "), new JsonObject { ["type"] = "ByteFallback" }, new JsonObject { ["type"] = "Fuse" });
        if (model.AddDummyPrefix)
        {
            steps.Add(new JsonObject { ["type"] = "Strip", ["content"] = " ", ["start"] = 1, ["stop"] = 0 });
        }

        return new() { ["type"] = "Sequence", ["decoders"] = steps };
    }

    private static JsonObject Replace(string from, string to) => new()
    {
        ["type"] = "Replace",
        ["pattern"] = new JsonObject { ["String"] = from },
        ["content"] = to,
    };
}
