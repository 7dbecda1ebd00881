namespace LlavaSharp.Demo;

/// <summary>
/// Writes the demo's data in LLaVA's own layout: a JSON array of conversations a stage beside a folder of pictures,
/// and the same for the held-out scenes.
/// </summary>
public sealed class DemoDataset
{
    /// <summary>Stage 1's captions, as conversations.</summary>
    public required IReadOnlyList<DemoConversation> Captions { get; init; }

    /// <summary>Stage 2's conversations.</summary>
    public required IReadOnlyList<DemoConversation> Conversations { get; init; }

    /// <summary>Captions of held-out scenes, laid out for stage 1.</summary>
    public required IReadOnlyList<DemoConversation> HeldOutCaptions { get; init; }

    /// <summary>Questions about held-out scenes, laid out for stage 2; a turn's kind is in <see cref="HeldOutKinds"/>.</summary>
    public required IReadOnlyList<DemoConversation> HeldOutQuestions { get; init; }

    /// <summary>Kind of every turn of every held-out conversation.</summary>
    public required IReadOnlyList<IReadOnlyList<string>> HeldOutKinds { get; init; }

    /// <summary>Folder of everything.</summary>
    public required string Folder { get; init; }

    /// <summary>Folder that every <c>image</c> is relative to.</summary>
    public string ImageFolder => Path.Combine(Folder, "images");

    /// <summary>Stage 1's file.</summary>
    public string CaptionsPath => Path.Combine(Folder, "stage1.json");

    /// <summary>Stage 2's file.</summary>
    public string ConversationsPath => Path.Combine(Folder, "stage2.json");

    /// <summary>Draws everything and writes it below <paramref name="folder"/>.</summary>
    /// <param name="folder">Where to; made if missing.</param>
    /// <param name="seed">Same seed, same bytes.</param>
    /// <param name="budget">How many of each.</param>
    public static DemoDataset Write(string folder, int seed, DemoBudget budget)
    {
        DemoDatasetWriter writer = new(folder, seed);
        List<IReadOnlyList<string>> kinds = [];
        DemoDataset data = new()
        {
            Folder = folder,
            Captions = writer.Captions("stage1", 1, budget.CaptionScenes, heldOut: false),
            Conversations = writer.Conversations("stage2", 2, budget.ConversationScenes, budget.TextConversations),
            HeldOutCaptions = writer.Captions("heldout1", 3, budget.HeldOutScenes, heldOut: true),
            HeldOutQuestions = writer.Questions("heldout2", 4, budget.HeldOutScenes, kinds),
            HeldOutKinds = kinds,
        };
        DemoDatasetWriter.Json(data.CaptionsPath, data.Captions);
        DemoDatasetWriter.Json(data.ConversationsPath, data.Conversations);
        DemoDatasetWriter.Json(Path.Combine(folder, "heldout_captions.json"), data.HeldOutCaptions);
        DemoDatasetWriter.Json(Path.Combine(folder, "heldout_questions.json"), DemoDatasetWriter.Alone(data.HeldOutQuestions));
        return data;
    }
}
