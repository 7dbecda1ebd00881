using LlavaSharp.Data;
using LlavaSharp.Templates;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Templates;

/// <summary>
/// The recipe's own procedure, written down straightforwardly and with none of PromptBuilder's code: string first,
/// ids next, labels from re-tokenised rounds with the -2 and -1 corrections, and its mismatch check.
/// </summary>
internal sealed class RecipeReference(LlavaTokenizer tokenizer)
{
    /// <summary>A slow Hugging Face LlamaTokenizer: BOS, then the text cut at the special pieces.</summary>
    public int[] Tokenise(string text)
    {
        List<int> ids = [tokenizer.BosId];
        var rest = text;
        for (var first = true; rest.Length > 0; first = false)
        {
            var (at, piece, id) = new[] { ("<unk>", 0), ("<s>", 1), ("</s>", 2) }
                .Select(s => (At: rest.IndexOf(s.Item1, StringComparison.Ordinal), Piece: s.Item1, Id: s.Item2))
                .Where(s => s.At >= 0).OrderBy(s => s.At).FirstOrDefault((At: rest.Length, Piece: "", Id: -1));
            var run = rest[..at];
            if (run.Length > 0)
            {
                // Without the dummy space: encode behind an anchor that never merges, then take the anchor off.
                ids.AddRange(first || tokenizer.Legacy ? tokenizer.Encode(run) : tokenizer.Encode("\n" + run).Skip(2));
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
        var chunks = prompt.Split("<image>").Select(Tokenise).ToList();
        List<int> ids = [tokenizer.BosId];
        for (var i = 0; i < chunks.Count; i++)
        {
            if (i > 0)
            {
                ids.Add(-200);
            }

            ids.AddRange(chunks[i].Skip(1));
        }

        return [.. ids];
    }

    public string Prompt(ConversationTemplate t, IReadOnlyList<Turn> turns)
    {
        var text = t.System + t.Separator;
        for (var i = 0; i < turns.Count; i++)
        {
            var role = i % 2 == 0 ? t.UserRole : t.AssistantRole;
            text += turns[i].Value.Length > 0
                ? $"{role}: {turns[i].Value}{(i % 2 == 0 ? t.Separator : t.Separator2)}"
                : $"{role}:";
        }

        return text;
    }

    /// <summary>preprocess_v1 of upstream (with the correction for tokenizers that are not legacy) or of ITREX (without).</summary>
    public (int[] Ids, int[] Labels, bool Mismatch) V1(ConversationTemplate t, IReadOnlyList<Turn> turns, bool hasImage, bool correction)
    {
        var prompt = Prompt(t, turns);
        int[] Count(string s) => hasImage ? TokeniseWithImages(s) : Tokenise(s);
        var ids = Count(prompt);
        int[] labels = [.. ids];
        var separator = t.Separator + t.AssistantRole + ": ";
        var total = ids.Count(id => id != tokenizer.UnknownId);
        var current = 1;
        labels[0] = -100;
        var rounds = prompt.Split("</s>");
        for (var i = 0; i < rounds.Length && rounds[i].Length > 0; i++)
        {
            var parts = rounds[i].Split(separator);
            if (parts.Length != 2)
            {
                break;
            }

            var roundLength = Count(rounds[i]).Length;
            var instructionLength = Count(parts[0] + separator).Length - 2;
            if (correction && i != 0 && !tokenizer.Legacy)
            {
                roundLength--;
                instructionLength--;
            }

            Array.Fill(labels, -100, current, Math.Min(instructionLength, labels.Length - current));
            current += roundLength;
        }

        Array.Fill(labels, -100, Math.Min(current, labels.Length), labels.Length - Math.Min(current, labels.Length));
        return (ids, labels, current != total);
    }

    public (int[] Ids, int[] Labels) Plain(IReadOnlyList<Turn> turns)
    {
        var ids = TokeniseWithImages("<image>" + turns[1].Value + "\n");
        int[] labels = [.. ids];
        Array.Fill(labels, -100, 0, TokeniseWithImages("<image>").Length);
        return (ids, labels);
    }
}
