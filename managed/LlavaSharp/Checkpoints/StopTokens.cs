namespace LlavaSharp.Checkpoints;

/// <summary>The ids that end an answer: those of config.json, then those that generation_config.json adds.</summary>
internal static class StopTokens
{
    /// <summary>The name of the file beside config.json.</summary>
    internal const string FileName = "generation_config.json";

    private const string Field = "eos_token_id";

    /// <summary>A decoder's config with the ids of its folder's generation_config.json.</summary>
    /// <param name="text">What config.json says.</param>
    /// <param name="folder">The folder.</param>
    /// <exception cref="UserErrorException">The file is malformed.</exception>
    internal static TextConfig Merge(TextConfig text, string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
        {
            return text;
        }

        int[] more = Known(ConfigJson.Load(path).Ints(Field), text.VocabularySize);
        ConfigJson config = ConfigJson.Load(Path.Combine(folder, "config.json"));
        bool stated = config.Has(Field) || config.Object("text_config")?.Has(Field) == true;
        int[] all = [.. (stated ? text.EosIds : []).Concat(more).Distinct()];
        return all.Length == 0 ? text : text with { EosIds = all };
    }

    /// <summary>The ids that a vocabulary has: no other is ever generated.</summary>
    /// <param name="ids">What a file says; null for nothing.</param>
    /// <param name="vocabulary">Its size.</param>
    internal static int[] Known(IEnumerable<int>? ids, int vocabulary) =>
        [.. (ids ?? []).Where(id => id >= 0 && id < vocabulary).Distinct()];
}
