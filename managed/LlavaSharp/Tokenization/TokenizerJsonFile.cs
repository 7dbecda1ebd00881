using System.Text.Json;
using System.Text.RegularExpressions;
using static LlavaSharp.Tokenization.TokenizerJsonFields;

namespace LlavaSharp.Tokenization;

/// <summary>
/// Reads tokenizer.json, the form of Hugging Face's tokenizers library: byte-level BPE (Llama 3, Qwen, GPT-2), and SentencePiece's
/// BPE with byte fallback (LLaMA, Vicuna, Mistral), which transformers 5 saves in no other form. Whatever would change ids and is
/// not implemented is refused by name.
/// </summary>
internal sealed class TokenizerJsonFile
{
    private const int IdLimit = 1 << 24;

    /// <summary>Longest time that a pattern of the file may take on one text; a hostile one would take for ever.</summary>
    private static readonly TimeSpan PatternLimit = TimeSpan.FromSeconds(10);

    private readonly TokenizerJsonFields _fields;

    private TokenizerJsonFile(JsonElement root, string name)
    {
        _fields = new TokenizerJsonFields(name);
        var model = _fields.Object(root, "model");
        Require(Text(model, "type") is null or "BPE", $"is a model of type {Text(model, "type")}; only BPE is implemented");
        foreach (var field in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            Require(Text(model, field) is null or "", $"has a {field}, which is not implemented");
        }

        Require(!Has(model, "dropout") || model.GetProperty("dropout").GetDouble() == 0, "drops merges at random (dropout); set it to null");
        var ids = ReadVocabulary(model);
        var byteLevel = Steps(root, "pre_tokenizer", "pretokenizers").Any(s => Text(s, "type") == "ByteLevel");
        var missing = byteLevel ? ByteLevelEncoder.MissingByte(ids) : -1;
        Require(missing < 0, $"has no piece for byte {missing}; a byte-level vocabulary has all 256");
        AddedTokens = Renumber(ReadAddedTokens(root, name), ids);
        Vocabulary = new BpeVocabulary(ids, ReadMerges(model, ids));
        Encoder = byteLevel ? ReadByteLevel(root, model, Vocabulary) : ReadSpaced(root, model, Vocabulary);
        BosId = root.TryGetProperty("post_processor", out var processor) ? ReadBos(processor) : -1;
    }

    /// <summary>The pieces and merges.</summary>
    public BpeVocabulary Vocabulary { get; }

    /// <summary>The model.</summary>
    public ITextModel Encoder { get; }

    /// <summary>Tokens that are recognised in text, with the ids that the library gives them.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; }

    /// <summary>The token that the post-processor puts before a text; -1 when it puts none.</summary>
    public int BosId { get; }

    /// <summary>Reads a file.</summary>
    /// <exception cref="UserErrorException">The file is damaged or asks for what is not implemented.</exception>
    public static TokenizerJsonFile Read(byte[] bytes, string name) => Guard(bytes, name, root => new TokenizerJsonFile(root, name));

    /// <summary>Reads the added tokens of a file that stands beside a tokenizer.model, whose pieces it must have.</summary>
    /// <param name="bytes">The file.</param>
    /// <param name="name">What messages call it.</param>
    /// <param name="pieces">The pieces of tokenizer.model.</param>
    /// <exception cref="UserErrorException">The file is damaged, or of another tokenizer.</exception>
    public static IReadOnlyList<AddedToken> ReadBeside(byte[] bytes, string name, IReadOnlyList<SentencePiece> pieces) =>
        Guard(bytes, name, root =>
        {
            var tokens = ReadAddedTokens(root, name);
            var named = tokens.Select(t => t.Id).ToHashSet();
            var vocabulary = root.TryGetProperty("model", out var model) && model.TryGetProperty("vocab", out var vocab)
                && vocab.ValueKind == JsonValueKind.Object ? vocab.EnumerateObject() : default;
            foreach (var entry in vocabulary)
            {
                var id = entry.Value.GetInt32();
                var piece = (uint)id < (uint)pieces.Count ? pieces[id].Text : null;
                if (piece != entry.Name && !named.Contains(id))
                {
                    var there = piece is null ? $"{pieces.Count} pieces" : $"\"{piece}\" there";
                    throw new UserErrorException($"{name}: the piece {id} is \"{entry.Name}\", but tokenizer.model beside it has {there}; "
                        + "remove the file that belongs to another model");
                }
            }

            return tokens;
        });

    /// <summary>The end mark: tokenizer_config.json names it.</summary>
    /// <param name="config">The settings beside the file, its added tokens among them.</param>
    public int FindEos(TokenizerConfig config)
    {
        string[] usual = ["<|end_of_text|>", "<|im_end|>", "<|endoftext|>", "</s>"];
        foreach (var text in config.Role("eos_token") is { } eos ? [eos] : usual)
        {
            if (config.AddedTokens.FirstOrDefault(t => t.Text == text) is { } token)
            {
                return token.Id;
            }
        }

        throw new UserErrorException($"{_fields.Name}: no end mark; tokenizer_config.json beside it must name it (eos_token)");
    }

    /// <summary>The id of a piece; -1 when there is none of that spelling.</summary>
    public int PieceOf(string text) => Vocabulary.Ids.GetValueOrDefault(text, -1);

    private static T Guard<T>(byte[] bytes, string name, Func<JsonElement, T> read)
    {
        try
        {
            using var document = JsonText.ParseObject(bytes, name);
            return read(document.RootElement);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new UserErrorException(
                $"{name}: not a tokenizer.json of Hugging Face's tokenizers, or damaged: {JsonText.FirstLine(e.Message)}", e);
        }
    }

    private static List<AddedToken> ReadAddedTokens(JsonElement root, string name)
    {
        var table = new AddedTokenTable();
        foreach (var token in Has(root, "added_tokens") ? root.GetProperty("added_tokens").EnumerateArray() : default)
        {
            table.Add(AddedTokenTable.Read(token, token.GetProperty("id").GetInt32(), name));
        }

        return [.. table.Tokens];
    }

    /// <summary>
    /// The library gives a token the id of the piece that it spells, or else the next one, whatever the file says: a gap is closed.
    /// </summary>
    private static List<AddedToken> Renumber(List<AddedToken> tokens, Dictionary<string, int> ids)
    {
        var next = ids.Count;
        return [.. tokens.Select(t =>
        {
            var id = ids.TryGetValue(t.Text, out var piece) ? piece : next;
            next = Math.Max(next, id + 1);
            return t with { Id = id, StatedId = t.Id };
        })];
    }

    private Dictionary<string, int> ReadVocabulary(JsonElement model)
    {
        var vocabulary = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var entry in _fields.Object(model, "vocab").EnumerateObject())
        {
            var id = entry.Value.GetInt32();
            Require(id is >= 0 and < IdLimit && vocabulary.TryAdd(entry.Name, id), $"has \"{entry.Name}\" twice, or with id {id}");
        }

        Require(vocabulary.Count > 0, "has no pieces");
        Require(vocabulary.Values.Distinct().Count() == vocabulary.Count, "gives one id to two pieces");
        return vocabulary;
    }

    /// <summary>Merges are written "a b", or since version 0.20 of the library as pairs.</summary>
    private Dictionary<(int Left, int Right), (int Rank, int Id)> ReadMerges(JsonElement model, Dictionary<string, int> vocabulary)
    {
        var merges = new Dictionary<(int, int), (int, int)>();
        var rank = 0;
        foreach (var merge in model.GetProperty("merges").EnumerateArray())
        {
            string[] pair = merge.ValueKind == JsonValueKind.Array
                ? [.. merge.EnumerateArray().Select(p => p.GetString()!)]
                : merge.GetString()!.Split(' ');
            var id = 0;
            Require(
                pair.Length == 2 && vocabulary.ContainsKey(pair[0]) && vocabulary.ContainsKey(pair[1])
                    && vocabulary.TryGetValue(pair[0] + pair[1], out id),
                $"has a merge {merge.GetRawText()} that its vocabulary does not know");
            merges[(vocabulary[pair[0]], vocabulary[pair[1]])] = (rank++, id);
        }

        return merges;
    }

    private ByteLevelEncoder ReadByteLevel(JsonElement root, JsonElement model, BpeVocabulary vocabulary)
    {
        PreTokenizerStep[] steps = [.. Steps(root, "pre_tokenizer", "pretokenizers").Select(ReadStep)];
        return new ByteLevelEncoder(vocabulary, new PreTokenizer(steps, Composes(root)), True(model, "ignore_merges"));
    }

    private SpacedBpeEncoder ReadSpaced(JsonElement root, JsonElement model, BpeVocabulary vocabulary)
    {
        var space = SpaceSteps.Read(_fields, root, out var splits);
        var unknown = Text(model, "unk_token") is { } text ? vocabulary.Ids.GetValueOrDefault(text, -1) : -1;
        return new SpacedBpeEncoder(vocabulary, space)
        {
            SplitsWords = splits,
            StripsSpace = StripsSpace(root),
            ByteFallback = True(model, "byte_fallback"),
            UnknownId = unknown,
            FusesUnknown = True(model, "fuse_unk"),
            WholeWords = True(model, "ignore_merges"),
        };
    }

    private bool StripsSpace(JsonElement root)
    {
        var strips = false;
        foreach (var step in Steps(root, "decoder", "decoders"))
        {
            var type = Text(step, "type");
            Require(type is "Replace" or "ByteFallback" or "Fuse" or "Strip" or "Metaspace", $"decodes by {type}, which is not implemented");
            strips |= type == "Metaspace" ? Text(step, "prepend_scheme") != "never" : type == "Strip";
        }

        return strips;
    }

    private bool Composes(JsonElement root)
    {
        if (!root.TryGetProperty("normalizer", out var normalizer) || normalizer.ValueKind == JsonValueKind.Null)
        {
            return false;
        }

        var type = Text(normalizer, "type");
        Require(type is "NFC" or "Sequence", $"normalises by {type}; only NFC is implemented");
        var parts = type == "NFC" ? [normalizer] : normalizer.GetProperty("normalizers").EnumerateArray().ToArray();
        Require(parts.All(p => Text(p, "type") == "NFC"), "normalises by more than NFC, which is not implemented");
        return parts.Length > 0;
    }

    private PreTokenizerStep ReadStep(JsonElement element)
    {
        var type = element.ValueKind == JsonValueKind.Object ? Text(element, "type") : null;
        switch (type)
        {
            case "ByteLevel":
                var pattern = !Has(element, "use_regex") || True(element, "use_regex") ? Pattern(PreTokenizer.Gpt2Pattern) : null;
                return new PreTokenizerStep(pattern, PrefixSpace: True(element, "add_prefix_space"));
            case "Split":
                var what = _fields.Object(element, "pattern");
                var text = Text(what, "Regex") ?? Regex.Escape(Text(what, "String") ?? "");
                Require(text.Length > 0, "splits words at nothing");
                return new PreTokenizerStep(Pattern(text), Behavior(Text(element, "behavior")), True(element, "invert"));
            case "Digits":
                return new PreTokenizerStep(
                    Pattern(@"\p{N}"), True(element, "individual_digits") ? SplitBehavior.Isolated : SplitBehavior.Contiguous);
            default:
                throw new UserErrorException(
                    $"{_fields.Name}: this tokenizer cuts words by {type ?? "nothing"}, which is not implemented");
        }
    }

    private SplitBehavior Behavior(string? name)
    {
        Require(Enum.TryParse<SplitBehavior>(name, out var behavior), $"splits with behavior {name}, which is not implemented");
        return behavior;
    }

    private Regex Pattern(string pattern)
    {
        try
        {
            return new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.Compiled, PatternLimit);
        }
        catch (ArgumentException e)
        {
            throw new UserErrorException($"{_fields.Name}: the pattern {pattern} cannot be used: {e.Message}", e);
        }
    }

    private int ReadBos(JsonElement processor)
    {
        var type = processor.ValueKind == JsonValueKind.Object ? Text(processor, "type") : null;
        switch (type)
        {
            case null or "ByteLevel":
                return -1;
            case "Sequence":
                return processor.GetProperty("processors").EnumerateArray().Select(ReadBos).DefaultIfEmpty(-1).Max();
            case "TemplateProcessing":
                var single = processor.GetProperty("single").EnumerateArray().ToArray();
                var text = Array.FindIndex(single, p => p.TryGetProperty("Sequence", out _));
                Require(text is 0 or 1 && text == single.Length - 1, "puts tokens behind a text, or several before it");
                return text == 0 ? -1 : Find(Text(single[0].GetProperty("SpecialToken"), "id"));
            default:
                Require(false, $"post-processes by {type}, which is not implemented");
                return -1;
        }
    }

    private int Find(string? text)
    {
        var id = AddedTokens.FirstOrDefault(t => t.Text == text)?.Id ?? PieceOf(text ?? "");
        Require(id >= 0, $"puts \"{text}\" before a text, which is none of its tokens");
        return id;
    }

    private void Require(bool condition, string problem) => _fields.Require(condition, problem);
}
