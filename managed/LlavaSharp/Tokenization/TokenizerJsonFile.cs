using System.Text.Json;
using System.Text.RegularExpressions;

namespace LlavaSharp.Tokenization;

/// <summary>
/// Reads tokenizer.json, the form of Hugging Face's tokenizers library, as far as byte-level BPE needs it: Llama 3, Qwen,
/// GPT-2. Whatever would change ids and is not implemented is refused by name.
/// </summary>
internal sealed class TokenizerJsonFile
{
    /// <summary>Longest time that a pattern of the file may take on one text; a hostile one would take for ever.</summary>
    private static readonly TimeSpan PatternLimit = TimeSpan.FromSeconds(10);

    private readonly string _name;

    private TokenizerJsonFile(JsonElement root, string name)
    {
        _name = name;
        var model = Object(root, "model");
        Require(Text(model, "type") is null or "BPE", $"is a model of type {Text(model, "type")}; only BPE is implemented");
        Require(
            !True(model, "byte_fallback"),
            "is a SentencePiece model in disguise (byte_fallback); put tokenizer.model of the original model beside it");
        foreach (var field in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            Require(Text(model, field) is null or "", $"has a {field}, which is not implemented");
        }

        Require(!Has(model, "dropout") || model.GetProperty("dropout").GetDouble() == 0, "drops merges at random (dropout); set it to null");
        AddedTokens = ReadAddedTokens(root);
        var vocabulary = ReadVocabulary(model);
        var missing = ByteLevelEncoder.MissingByte(vocabulary);
        Require(missing < 0, $"has no piece for byte {missing}; a byte-level vocabulary has all 256");
        var steps = new List<PreTokenizerStep>();
        var byteLevel = ReadSteps(root.TryGetProperty("pre_tokenizer", out var words) ? words : default, steps);
        Require(byteLevel, "does not work on bytes (no ByteLevel in pre_tokenizer); only byte-level BPE is implemented");
        Encoder = new ByteLevelEncoder(
            vocabulary, ReadMerges(model, vocabulary), new PreTokenizer(steps, Composes(root)), True(model, "ignore_merges"));
        BosId = root.TryGetProperty("post_processor", out var processor) ? ReadBos(processor) : -1;
    }

    /// <summary>The model.</summary>
    public ByteLevelEncoder Encoder { get; }

    /// <summary>Tokens that are recognised in text.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; }

    /// <summary>The token that the post-processor puts before a text; -1 when it puts none.</summary>
    public int BosId { get; }

    /// <summary>Reads a file.</summary>
    /// <exception cref="UserErrorException">The file is damaged or asks for what is not implemented.</exception>
    public static TokenizerJsonFile Read(byte[] bytes, string name)
    {
        try
        {
            using var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = 32 });
            return new TokenizerJsonFile(document.RootElement, name);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new UserErrorException($"{name}: not a tokenizer.json of Hugging Face's tokenizers, or damaged: {e.Message}", e);
        }
    }

    /// <summary>The end mark: tokenizer_config.json names it.</summary>
    public int FindEos(TokenizerConfig config, string name)
    {
        string[] usual = ["<|end_of_text|>", "<|im_end|>", "<|endoftext|>", "</s>"];
        foreach (var text in config.Eos is { } eos ? [eos] : usual)
        {
            if (AddedTokens.FirstOrDefault(t => t.Text == text) is { } token)
            {
                return token.Id;
            }
        }

        throw new UserErrorException(config.Eos is null
            ? $"{name}: no end mark; tokenizer_config.json beside it must name it (eos_token)"
            : $"{name}: eos_token of tokenizer_config.json is \"{config.Eos}\", which is none of the file's added_tokens");
    }

    private List<AddedToken> ReadAddedTokens(JsonElement root)
    {
        var tokens = new List<AddedToken>();
        foreach (var token in root.TryGetProperty("added_tokens", out var list) ? list.EnumerateArray() : default)
        {
            var (text, id) = (Text(token, "content") ?? "", token.GetProperty("id").GetInt32());
            Require(text.Length > 0 && id >= 0, $"has an added token \"{text}\" with id {id}");
            tokens.Add(new AddedToken(
                text, id, True(token, "lstrip"), True(token, "rstrip"), True(token, "single_word"), True(token, "special")));
        }

        return tokens;
    }

    private Dictionary<string, int> ReadVocabulary(JsonElement model)
    {
        var vocabulary = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var entry in Object(model, "vocab").EnumerateObject())
        {
            var id = entry.Value.GetInt32();
            Require(id is >= 0 and < 1 << 24 && vocabulary.TryAdd(entry.Name, id), $"has \"{entry.Name}\" twice, or with id {id}");
        }

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

    /// <summary>Reads the steps that cut words. Returns whether a byte-level step is among them.</summary>
    private bool ReadSteps(JsonElement element, List<PreTokenizerStep> steps)
    {
        var type = element.ValueKind == JsonValueKind.Object ? Text(element, "type") : null;
        switch (type)
        {
            case "Sequence":
                var byteLevel = false;
                foreach (var part in element.GetProperty("pretokenizers").EnumerateArray())
                {
                    byteLevel |= ReadSteps(part, steps);
                }

                return byteLevel;
            case "ByteLevel":
                var pattern = !Has(element, "use_regex") || True(element, "use_regex") ? Pattern(PreTokenizer.Gpt2Pattern) : null;
                steps.Add(new PreTokenizerStep(pattern, PrefixSpace: True(element, "add_prefix_space")));
                return true;
            case "Split":
                var what = Object(element, "pattern");
                var text = Text(what, "Regex") ?? Regex.Escape(Text(what, "String") ?? "");
                Require(text.Length > 0, "splits words at nothing");
                steps.Add(new PreTokenizerStep(Pattern(text), Behavior(Text(element, "behavior")), True(element, "invert")));
                return false;
            case "Digits":
                steps.Add(new PreTokenizerStep(Pattern(@"\p{N}"), True(element, "individual_digits") ? SplitBehavior.Isolated : SplitBehavior.Contiguous));
                return false;
            default:
                Require(false, $"cuts words by {type ?? "nothing"}, which is not implemented");
                return false;
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
            throw new UserErrorException($"{_name}: the pattern {pattern} cannot be used: {e.Message}", e);
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
        var token = AddedTokens.FirstOrDefault(t => t.Text == text);
        Require(token is not null, $"puts \"{text}\" before a text, which is none of its added_tokens");
        return token!.Id;
    }

    private void Require(bool condition, string problem)
    {
        if (!condition)
        {
            throw new UserErrorException($"{_name}: this tokenizer {problem}");
        }
    }

    private JsonElement Object(JsonElement from, string name)
    {
        JsonElement value = default;
        Require(from.ValueKind == JsonValueKind.Object && from.TryGetProperty(name, out value), $"has no \"{name}\"");
        return value;
    }

    private static bool Has(JsonElement from, string name) =>
        from.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null;

    private static bool True(JsonElement from, string name) => Has(from, name) && from.GetProperty(name).GetBoolean();

    private static string? Text(JsonElement from, string name) => Has(from, name) ? from.GetProperty(name).GetString() : null;
}
