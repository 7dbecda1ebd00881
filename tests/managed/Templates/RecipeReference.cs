using LlavaSharp.Data;
using LlavaSharp.Templates;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Templates;

/// <summary>
/// The recipe's own procedures, written down literally and with none of PromptBuilder's code: string first, ids next, labels
/// from re-tokenised rounds with their corrections, and the mismatch check. <c>Trips</c> says that the check fails or, in
/// the path that has none, that its lengths do not add up.
/// </summary>
internal sealed class RecipeReference(LlavaTokenizer tokenizer, IReadOnlyList<(string Text, int Id)> special)
{
    public RecipeReference(LlavaTokenizer tokenizer)
        : this(tokenizer, [("<unk>", 0), ("<s>", 1), ("</s>", 2)])
    {
    }

    public sealed record Result(int[] Ids, int[] Labels, bool Trips);

    /// <summary>A slow Hugging Face tokenizer: BOS if it has one, then the text cut at the special tokens.</summary>
    public int[] Tokenise(string text)
    {
        List<int> ids = tokenizer.AddBos ? [tokenizer.BosId] : [];
        var rest = text;
        for (var first = true; rest.Length > 0; first = false)
        {
            var (at, piece, id) = special
                .Select(s => (At: rest.IndexOf(s.Text, StringComparison.Ordinal), Piece: s.Text, s.Id))
                .Where(s => s.At >= 0).OrderBy(s => s.At).FirstOrDefault((At: rest.Length, Piece: "", Id: -1));
            var run = rest[..at];
            if (run.Length > 0)
            {
                // Without the dummy space: encode behind an anchor that never merges, then take the anchor off.
                ids.AddRange(first || tokenizer.Legacy || tokenizer.IsByteLevel
                    ? tokenizer.Encode(run) : tokenizer.Encode("\n" + run).Skip(2));
            }

            if (id >= 0)
            {
                ids.Add(id);
            }

            rest = rest[(at + piece.Length)..];
        }

        return [.. ids];
    }

    public int[] TokeniseWithImages(string prompt)
    {
        var offset = tokenizer.AddBos ? 1 : 0;
        List<int> ids = tokenizer.AddBos ? [tokenizer.BosId] : [];
        foreach (var (i, chunk) in prompt.Split("<image>").Index())
        {
            ids.AddRange([.. i > 0 ? new[] { -200 } : [], .. Tokenise(chunk).Skip(offset)]);
        }

        return [.. ids];
    }

    /// <summary>preprocess_multimodal for a sample with one image.</summary>
    public static Turn Place(ConversationTemplate t, Turn turn)
    {
        if (!turn.Value.Contains("<image>", StringComparison.Ordinal))
        {
            return turn;
        }

        var value = ("<image>\n" + turn.Value.Replace("<image>", "", StringComparison.Ordinal).Trim()).Trim();
        return turn with { Value = t.Version.Contains("mmtag", StringComparison.Ordinal) ? value.Replace("<image>", "<Image><image></Image>", StringComparison.Ordinal) : value };
    }

    /// <summary>get_prompt.</summary>
    public static string Prompt(ConversationTemplate t, IReadOnlyList<Turn> turns)
    {
        var text = t.Style == SeparatorStyle.Llama2 ? "" : t.System + t.Separator;
        for (var i = 0; i < turns.Count; i++)
        {
            var (role, message) = (i % 2 == 0 ? t.UserRole : t.AssistantRole, turns[i].Value);
            var some = message.Length > 0;
            if (t.Style == SeparatorStyle.Two)
            {
                text += some ? $"{role}: {message}{(i % 2 == 0 ? t.Separator : t.Separator2)}" : $"{role}:";
            }
            else if (t.Style == SeparatorStyle.Mpt)
            {
                text += some ? role + message + t.Separator : role;
            }
            else if (some)
            {
                var wrap = i == 0 && (t.Dialect == TemplateDialect.Itrex || t.System.Length > 0);
                message = wrap ? $"<<SYS>>\n{t.System}\n<</SYS>>\n\n{message}" : message;
                text += i % 2 == 0 ? $"{t.Separator}[INST] {message} [/INST]" : $" {message} {t.Separator2}";
            }
        }

        return t.Style == SeparatorStyle.Llama2 ? text.TrimStart(t.Separator.Length == 0 ? ['\0'] : t.Separator.ToCharArray()) : text;
    }

    /// <summary>The path that a template takes: preprocess's dispatch.</summary>
    public Result Run(ConversationTemplate t, IReadOnlyList<Turn> turns, bool hasImage) => t.Style switch
    {
        SeparatorStyle.Plain => Plain(turns),
        SeparatorStyle.Single => V0(t, turns, hasImage),
        SeparatorStyle.Mpt => Mpt(t, turns, hasImage),
        _ => Rounds(t, turns, hasImage),
    };

    /// <summary>preprocess_v1 (with upstream's correction for tokenizers that are not legacy) and preprocess_llama_2 (without).</summary>
    private Result Rounds(ConversationTemplate t, IReadOnlyList<Turn> turns, bool hasImage)
    {
        var prompt = Prompt(t, turns);
        var ids = Ids(prompt, hasImage);
        int[] labels = [.. ids];
        var inst = t.Style == SeparatorStyle.Llama2;
        var separator = inst ? "[/INST] " : t.Separator + t.AssistantRole + ": ";

        // A byte-level tokenizer has no "legacy": there the original ends in an AttributeError; meant is no correction.
        var correction = !inst && t.Dialect == TemplateDialect.Upstream && !tokenizer.Legacy && !tokenizer.IsByteLevel;
        var current = 1;
        labels[0] = -100;
        foreach (var (i, round) in prompt.Split(t.Separator2).Index())
        {
            var parts = round.Split(separator);
            if (round.Length == 0 || parts.Length != 2)
            {
                break;
            }

            var less = correction && i != 0 ? 1 : 0;
            Mask(labels, current, Ids(parts[0] + separator, hasImage).Length - 2 - less);
            current += Ids(round, hasImage).Length - less;
        }

        Mask(labels, current, labels.Length);
        return new(ids, labels, current != ids.Count(id => id != tokenizer.UnknownId));
    }

    /// <summary>preprocess_mpt, and ITREX's preprocess_mpt_oh: no begin mark, rounds with their closing mark.</summary>
    private Result Mpt(ConversationTemplate t, IReadOnlyList<Turn> turns, bool hasImage)
    {
        var hermes = t.Version == "mpt_oh";
        var prompt = Prompt(t, turns);
        var ids = Ids(prompt, hasImage);
        ids = hermes ? ids[1..] : ids;
        int[] labels = [.. ids];
        var separator = t.Separator + t.AssistantRole;
        var pieces = prompt.Split(t.Separator);
        List<string> rounds = [string.Join(t.Separator, pieces.Take(3))];
        for (var i = 3; i < pieces.Length; i += 2)
        {
            rounds.Add(string.Join(t.Separator, pieces.Skip(i).Take(2)));
        }

        var current = 0;
        foreach (var (i, round) in rounds.Index())
        {
            var parts = round.Split(separator);
            if (round.Length == 0 || parts.Length != 2)
            {
                break;
            }

            // HEAD's correction for legacy tokenizers is for i != 0 and adds one to both.
            var more = hermes ? -1 : i != 0 && tokenizer.Legacy ? 1 : 0;
            var length = Ids(hermes ? round + t.Separator : round, hasImage).Length + more;
            Mask(labels, current, Ids(parts[0] + separator, hasImage).Length - 1 + (hermes ? 0 : more));
            current += length;
        }

        Mask(labels, current, labels.Length);
        return new(ids, labels, current != ids.Count(id => id != tokenizer.UnknownId));
    }

    private Result Plain(IReadOnlyList<Turn> turns)
    {
        var ids = TokeniseWithImages("<image>" + turns[1].Value + "\n");
        int[] labels = [.. ids];
        Mask(labels, 0, TokeniseWithImages("<image>").Length);
        return new(ids, labels, false);
    }

    /// <summary>The path of "###": lengths of the header and of each turn, each with a begin mark of its own.</summary>
    private Result V0(ConversationTemplate t, IReadOnlyList<Turn> turns, bool hasImage)
    {
        var header = t.System + "\n\n";
        string[] lines = [.. turns.Select(turn => $"### {(turn.From == "human" ? t.UserRole : t.AssistantRole)}: {turn.Value}\n")];
        var ids = Ids(header + string.Concat(lines) + "### ", hasImage);
        int[] labels = [.. ids];
        var current = Ids(header, hasImage).Length;
        Mask(labels, 0, current);
        var whole = header;
        var trips = false;
        foreach (var (line, turn) in lines.Zip(turns))
        {
            var length = Ids(line, hasImage).Length;
            whole += line;
            trips |= Ids(whole, hasImage).Length != current + length;
            if (turn.From == "human")
            {
                Mask(labels, current + 2, length - 2);
            }

            current += length;
        }

        return new(ids, labels, trips);
    }

    private int[] Ids(string text, bool hasImage) => hasImage ? TokeniseWithImages(text) : Tokenise(text);

    /// <summary>Python's slice assignment: what lies outside is left out.</summary>
    private static void Mask(int[] labels, int start, int count)
    {
        for (var i = Math.Min(start, labels.Length); i < Math.Min(start + (long)count, labels.Length); i++)
        {
            labels[i] = -100;
        }
    }
}
