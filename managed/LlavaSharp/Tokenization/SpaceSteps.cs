using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlavaSharp.Tokenization;

/// <summary>
/// A <see cref="SpaceRule"/> as the normalizer and pre_tokenizer of a tokenizer.json, read and written. In training each chunk
/// between images is a text of its own, so that a mark stands behind <c>&lt;image&gt;</c>, too, where a text has one in front.
/// </summary>
internal static class SpaceSteps
{
    private const string Mark = "\u2581", Image = "<image>", Metaspace = "Metaspace";

    /// <summary>Reads the rule of a file, with which its tokens and texts get the ids that Hugging Face's tokenizers gives.</summary>
    /// <exception cref="UserErrorException">A step is not implemented.</exception>
    public static SpaceRule Read(TokenizerJsonFields fields, JsonElement root, out bool splitsWords)
    {
        var (prepends, marks) = ReadNormalizer(fields, TokenizerJsonFields.Steps(root, "normalizer", "normalizers"));
        var words = TokenizerJsonFields.Steps(root, "pre_tokenizer", "pretokenizers");
        foreach (var step in words)
        {
            var type = TokenizerJsonFields.Text(step, "type");
            fields.Require(type == Metaspace, $"cuts words by {type ?? "nothing"}, which is not implemented beside marks for spaces");
        }

        var last = words.Count > 0 ? Scheme(words[^1]) : "never";
        splitsWords = words.Count > 0 && Splits(words[^1]);
        fields.Require(words.Count == 0 || Replacement(words[^1]) == Mark, "writes spaces otherwise than as U+2581, which is not implemented");
        fields.Require(marks || words.Count > 0, "leaves spaces as they are, which is not implemented");
        fields.Require(!prepends || last == "never", "puts a mark before text in two ways (Prepend and Metaspace), which is not implemented");
        if (words.Count == 2)
        {
            fields.Require(
                Replacement(words[0]) == " " && !Splits(words[0]) && last == "never", "has two Metaspace steps, which is not implemented");
            last = Scheme(words[0]);
            return new SpaceRule(last != "never", Scope(fields, last), UnlessThere: !marks, MarksFirst: marks);
        }

        fields.Require(words.Count < 2, "has more than two Metaspace steps, which is not implemented");
        return prepends
            ? new SpaceRule(true, SpaceScope.EachSection, MarksFirst: marks)
            : new SpaceRule(last != "never", Scope(fields, last), UnlessThere: true, MarksFirst: marks);
    }

    /// <summary>The tokens as a file must have them for texts to get the ids that they have here.</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="tokens">The tokens.</param>
    public static IReadOnlyList<AddedToken> Fit(SpaceRule rule, IReadOnlyList<AddedToken> tokens)
    {
        var marksFirst = !rule.Adds || rule is { UnlessThere: false, Scope: not SpaceScope.EachSection };
        var image = rule is { Adds: true, Scope: SpaceScope.FirstRun };

        // A normalized token is looked for when spaces are marks already, which no token strips; the image's is looked for when the
        // mark behind it is there.
        return [.. tokens.Select(t => t with
        {
            Normalized = (t.Text == Image ? image : t.Normalized) && !(marksFirst && t.Strips),
        })];
    }

    /// <summary>Writes the rule.</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="tokens">The file's tokens, fitted.</param>
    /// <param name="splitsWords">Whether each mark begins a word of its own.</param>
    /// <returns>Both fields; null where a file has none.</returns>
    public static (JsonNode? Normalizer, JsonNode? PreTokenizer) Write(SpaceRule rule, IReadOnlyList<AddedToken> tokens, bool splitsWords)
    {
        var prepends = rule.Scope == SpaceScope.EachSection
            || (rule is { Scope: SpaceScope.EachRun, UnlessThere: false } && !tokens.Any(t => t.Normalized));
        JsonObject marks = Replace(new JsonObject { ["String"] = " " }, Mark);
        if (!rule.Adds)
        {
            return (marks, splitsWords ? Words(Mark, "never", true) : null);
        }

        if (prepends)
        {
            var prepend = new JsonObject { ["type"] = "Prepend", ["prepend"] = Mark };
            return rule is { Scope: SpaceScope.EachSection, MarksFirst: false }
                ? (prepend, Words(Mark, "never", splitsWords))
                : (Sequence("normalizers", prepend, marks), splitsWords ? Words(Mark, "never", true) : null);
        }

        var first = rule.Scope == SpaceScope.FirstRun;
        var scheme = first ? "first" : "always";
        List<JsonNode> normalizers = first && tokens.Any(t => t.Text == Image) ? [BehindImages(rule, tokens)] : [];
        if (rule.UnlessThere)
        {
            return (normalizers is [var one] ? one : null, Words(Mark, scheme, splitsWords));
        }

        // Metaspace puts nothing before a space. With marks made of spaces first, there is none where it looks.
        return (
            Sequence("normalizers", [.. normalizers, marks]),
            Sequence("pretokenizers", Words(" ", scheme, false), Words(Mark, "never", false)));
    }

    /// <summary>Puts a mark behind an image, unless nothing follows, or a token that begins no run.</summary>
    private static JsonObject BehindImages(SpaceRule rule, IReadOnlyList<AddedToken> tokens)
    {
        var stops = tokens.Where(t => t.Normalized).Select(t => Escape(t.Text) + (t.SingleWord ? @"(?!\w)" : ""));
        stops = rule.UnlessThere ? stops.Concat([" ", Mark]) : stops;
        return Replace(new JsonObject { ["Regex"] = $@"{Image}(?!{string.Join('|', stops)})(?=[\s\S])" }, Image + Mark);
    }

    /// <summary>Escapes what the tokenizers' pattern language gives a meaning.</summary>
    private static string Escape(string text) => string.Concat(text.Select(c =>
        c is '\\' or '.' or '*' or '+' or '?' or '(' or ')' or '[' or ']' or '{' or '}' or '|' or '^' or '$' or '#' or '-' ? $"\\{c}"
        : char.IsControl(c) ? string.Create(CultureInfo.InvariantCulture, $"\\x{{{(int)c:X}}}") : $"{c}"));

    private static (bool Prepends, bool Marks) ReadNormalizer(TokenizerJsonFields fields, IReadOnlyList<JsonElement> steps)
    {
        var (prepends, marks) = (false, false);
        foreach (var (i, step) in steps.Index())
        {
            var type = TokenizerJsonFields.Text(step, "type");
            var content = TokenizerJsonFields.Text(step, type == "Prepend" ? "prepend" : "content");
            if (type == "Prepend")
            {
                fields.Require(i == 0 && content == Mark, $"puts \"{content}\" before text as step {i + 1}, which is not implemented");
                prepends = true;
                continue;
            }

            fields.Require(type == "Replace", $"normalises by {type}, which is not implemented beside marks for spaces");
            var pattern = fields.Object(step, "pattern");
            var images = content == Image + Mark
                && TokenizerJsonFields.Text(pattern, "Regex")?.StartsWith(Image + "(?", StringComparison.Ordinal) == true;
            var spaces = content == Mark && TokenizerJsonFields.Text(pattern, "String") == " ";
            fields.Require(images || spaces, $"replaces {JsonText.FirstLine(pattern.GetRawText())} by \"{content}\", which is not implemented");
            marks |= spaces;
        }

        return (prepends, marks);
    }

    private static SpaceScope Scope(TokenizerJsonFields fields, string scheme)
    {
        fields.Require(scheme is "first" or "always" or "never", $"prepends by the scheme {scheme}, which is not implemented");
        return scheme == "first" ? SpaceScope.FirstRun : SpaceScope.EachRun;
    }

    /// <summary>Older files say add_prefix_space, which means always.</summary>
    private static string Scheme(JsonElement step)
    {
        var scheme = TokenizerJsonFields.Text(step, "prepend_scheme") ?? "always";
        var adds = !TokenizerJsonFields.Has(step, "add_prefix_space") || TokenizerJsonFields.True(step, "add_prefix_space");
        return adds || scheme == "first" ? scheme : "never";
    }

    private static bool Splits(JsonElement step) => !TokenizerJsonFields.Has(step, "split") || TokenizerJsonFields.True(step, "split");

    private static string? Replacement(JsonElement step) => TokenizerJsonFields.Text(step, "replacement");

    private static JsonObject Sequence(string list, params JsonNode[] steps) => new() { ["type"] = "Sequence", [list] = new JsonArray(steps) };

    private static JsonObject Replace(JsonObject pattern, string content) =>
        new() { ["type"] = "Replace", ["pattern"] = pattern, ["content"] = content };

    private static JsonObject Words(string replacement, string scheme, bool splits) => new()
    {
        ["type"] = Metaspace,
        ["replacement"] = replacement,

        // Versions below 0.19 of the library ask for this field.
        ["add_prefix_space"] = scheme != "never",
        ["prepend_scheme"] = scheme,
        ["split"] = splits,
    };
}
