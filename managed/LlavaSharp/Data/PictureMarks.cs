namespace LlavaSharp.Data;

/// <summary>
/// Finds marks in a sample's turns that ask for a picture which the sample does not have: they would be trained as text. Texts
/// about HTML may say <c>&lt;image&gt;</c>, too. So in a sample without a key that seems to name a picture, a mark counts only
/// in a human's turn, only where a line begins or ends with it, and only where no closing tag follows.
/// </summary>
internal static class PictureMarks
{
    // LLaVA's, and those of its relatives.
    private static readonly string[] All = ["<image>", "<video>", "<image-placeholder>", "<im_patch>"];

    /// <summary>Whether any turn has a mark, wherever.</summary>
    public static bool Any(IReadOnlyList<Turn> turns) =>
        turns.Any(turn => All.Any(mark => turn.Value.Contains(mark, StringComparison.Ordinal)));

    /// <summary>What is missing, in words with the remedy; null when no mark asks in vain.</summary>
    /// <param name="sample">The sample.</param>
    /// <param name="anywhere">Whether a mark within a line counts, too: where most samples of a file have one.</param>
    public static string? Missing(Sample sample, bool anywhere = false)
    {
        foreach (var mark in All.Skip(sample.Images.Count > 0 ? 1 : 0))
        {
            var asks = sample.UnreadPictureKey is null || sample.Images.Count > 0
                ? sample.Conversations.Any(turn => turn.From == "human" && Stands(turn.Value, mark, anywhere))
                : sample.Conversations.Any(turn => turn.Value.Contains(mark, StringComparison.Ordinal));
            if (asks)
            {
                return $"its turns say {mark}, but {Reason(sample, mark)}";
            }
        }

        return null;
    }

    private static string Reason(Sample sample, string mark) => (sample.UnreadPictureKey, mark) switch
    {
        (_, "<video>") => "videos are not trained; leave the sample out, or name pictures of it under \"image\", an <image> for each",
        (null, "<image>") => "it has no \"image\"; name its picture there, or take the mark out",
        (null, _) => "only <image> marks a picture; write that, and name the picture under \"image\"",
        ("image" or "images", _) => $"its \"{sample.UnreadPictureKey}\" is empty; name its picture there, or take the mark out",
        ({ } key, _) when key.Contains("video", StringComparison.OrdinalIgnoreCase) =>
            $"its \"{key}\" is not read, for videos are not trained; leave the sample out, or name pictures of it under \"image\"",
        ({ } key, _) => $"its \"{key}\" is not read; rename the key to \"image\"",
    };

    /// <summary>Whether a line begins or ends with the mark, or has it anywhere, and the text is no markup that closes it.</summary>
    private static bool Stands(string text, string mark, bool anywhere)
    {
        if (text.Contains(mark.Insert(1, "/"), StringComparison.Ordinal))
        {
            return false;
        }

        for (int next, at = text.IndexOf(mark, StringComparison.Ordinal); at >= 0; at = text.IndexOf(mark, next, StringComparison.Ordinal))
        {
            next = at + mark.Length;
            if (anywhere
                || text.AsSpan(0, at).TrimEnd(" \t\r") is [] or [.., '\n'] || text.AsSpan(next).TrimStart(" \t\r") is [] or ['\n', ..])
            {
                return true;
            }
        }

        return false;
    }
}
