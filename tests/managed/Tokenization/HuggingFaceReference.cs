using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace LlavaSharp.Tests.Tokenization;

/// <summary>
/// Runs a tokenizer.json step by step as Hugging Face's tokenizers documents it: tokens that are not normalized, the normalizer, the
/// normalized tokens, the pre_tokenizer, merges one after another, byte fallback, the begin mark. It shares no code with the product.
/// </summary>
internal sealed class HuggingFaceReference
{
    private readonly JsonNode _file;
    private readonly Dictionary<string, int> _vocabulary;
    private readonly Dictionary<(string Left, string Right), int> _ranks = [];
    private readonly List<JsonNode> _added;

    public HuggingFaceReference(string json)
    {
        _file = JsonNode.Parse(json)!;
        var model = _file["model"]!;
        _vocabulary = model["vocab"]!.AsObject().ToDictionary(p => p.Key, p => (int)p.Value!);
        foreach (var merge in model["merges"]!.AsArray())
        {
            string[] pair = merge is JsonArray both ? [(string)both[0]!, (string)both[1]!] : ((string)merge!).Split(' ');
            _ranks.TryAdd((pair[0], pair[1]), _ranks.Count);
        }

        _added = [.. _file["added_tokens"]!.AsArray().Select(t => t!)];
    }

    /// <summary>Ids as the library numbers them: the piece of that spelling, or the next one.</summary>
    public int IdOf(string token)
    {
        var next = _vocabulary.Count;
        foreach (var added in _added)
        {
            var text = (string)added["content"]!;
            var id = _vocabulary.TryGetValue(text, out var piece) ? piece : next;
            next = Math.Max(next, id + 1);
            if (text == token)
            {
                return id;
            }
        }

        return _vocabulary.GetValueOrDefault(token, -1);
    }

    public int[] Encode(string text)
    {
        List<int> ids = [];
        if (_file["post_processor"] is { } processor && processor["single"]!.AsArray()[0]!["SpecialToken"] is { } bos)
        {
            ids.Add(IdOf((string)bos["id"]!));
        }

        foreach (var (start, section, token) in Cut(text, normalized: false, t => t))
        {
            if (token is not null)
            {
                ids.Add(IdOf(token));
                continue;
            }

            foreach (var (inner, run, other) in Cut(Normalize(section), normalized: true, Normalize))
            {
                ids.AddRange(other is null ? Run(run, isFirst: start == 0 && inner == 0) : [IdOf(other)]);
            }
        }

        return [.. ids];
    }

    private IEnumerable<(int Start, string Text, string? Token)> Cut(string text, bool normalized, Func<string, string> normalize)
    {
        var tokens = _added.Where(t => (bool)t["normalized"]! == normalized).Select(t => (Spelling: normalize((string)t["content"]!), Token: t))
            .OrderByDescending(t => t.Spelling.Length).ToList();
        var (begun, at) = (0, 0);
        while (at < text.Length)
        {
            var (spelling, token) = tokens.Find(t => string.CompareOrdinal(text, at, t.Spelling, 0, t.Spelling.Length) == 0);
            if (token is null)
            {
                at++;
                continue;
            }

            var (from, to) = (at, at + spelling.Length);
            at = to;
            if ((bool)token["single_word"]! && (Regex.IsMatch(text[..from], @"\w\z") || Regex.IsMatch(text[to..], @"\A\w")))
            {
                continue;
            }

            from = (bool)token["lstrip"]! ? Math.Max(begun, text[..from].TrimEnd().Length) : from;
            to = (bool)token["rstrip"]! ? text.Length - text[to..].TrimStart().Length : to;
            if (from > begun)
            {
                yield return (begun, text[begun..from], null);
            }

            yield return (from, text[from..to], (string)token["content"]!);
            begun = Math.Max(begun, to);
        }

        if (begun < text.Length)
        {
            yield return (begun, text[begun..], null);
        }
    }

    private static IEnumerable<JsonNode> Steps(JsonNode? step, string list) =>
        step is null ? [] : (string)step["type"]! == "Sequence" ? step[list]!.AsArray().SelectMany(s => Steps(s, list)) : [step];

    private string Normalize(string text)
    {
        foreach (var step in Steps(_file["normalizer"], "normalizers"))
        {
            text = (string)step["type"]! switch
            {
                "Prepend" => text.Length == 0 ? text : (string)step["prepend"]! + text,
                "Replace" when step["pattern"]!["Regex"] is { } pattern => Regex.Replace(text, (string)pattern!, (string)step["content"]!),
                "Replace" => text.Replace((string)step["pattern"]!["String"]!, (string)step["content"]!),
                var other => throw new NotSupportedException(other),
            };
        }

        return text;
    }

    private List<int> Run(string run, bool isFirst)
    {
        List<string> words = [run];
        foreach (var step in Steps(_file["pre_tokenizer"], "pretokenizers"))
        {
            Assert.Equal("Metaspace", (string)step["type"]!);
            var (mark, scheme) = ((string)step["replacement"]!, (string)step["prepend_scheme"]!);
            var marked = words.Select(w => w.Replace(" ", mark)).Select((w, i) =>
                (scheme == "always" || (scheme == "first" && isFirst && i == 0)) && !w.StartsWith(mark, StringComparison.Ordinal)
                    ? mark + w : w);
            words = (bool)step["split"]! ? [.. marked.SelectMany(w => Regex.Split(w, $"(?={mark})").Where(p => p.Length > 0))] : [.. marked];
        }

        return [.. words.SelectMany(Merge)];
    }

    private IEnumerable<int> Merge(string word)
    {
        List<string> symbols = [.. word.EnumerateRunes().Select(r => r.ToString())];
        while (true)
        {
            var best = Enumerable.Range(0, Math.Max(symbols.Count - 1, 0)).Where(i => _ranks.ContainsKey((symbols[i], symbols[i + 1])))
                .OrderBy(i => _ranks[(symbols[i], symbols[i + 1])]).ThenBy(i => i).Select(i => (int?)i).FirstOrDefault();
            if (best is not { } at)
            {
                break;
            }

            symbols[at] += symbols[at + 1];
            symbols.RemoveAt(at + 1);
        }

        return symbols.SelectMany(s => _vocabulary.TryGetValue(s, out var id)
            ? [id] : Encoding.UTF8.GetBytes(s).Select(b => _vocabulary[$"<0x{b:X2}>"]));
    }
}
