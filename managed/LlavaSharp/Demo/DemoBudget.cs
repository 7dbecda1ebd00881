namespace LlavaSharp.Demo;

/// <summary>How much the demo draws and trains. Steps are optimizer updates, batches are samples an update.</summary>
public sealed record DemoBudget
{
    /// <summary>Questions asked about a picture in one conversation of stage 2, at most.</summary>
    public const int TurnsPerPicture = 8;

    /// <summary>What the README's demo runs.</summary>
    public static DemoBudget Full { get; } = new();

    /// <summary>Seconds instead of minutes: proves that everything runs, learns little.</summary>
    public static DemoBudget Smoke { get; } = new()
    {
        CaptionScenes = 48,
        ConversationScenes = 40,
        TextConversations = 8,
        HeldOutScenes = 6,
        WarmUpSteps = 3,
        Stage1Steps = 3,
        Stage1Batch = 8,
        Stage2Steps = 3,
        Stage2Batch = 8,
    };

    /// <summary>Pictures with captions, for stage 1.</summary>
    public int CaptionScenes { get; init; } = 6000;

    /// <summary>Pictures with conversations, for stage 2.</summary>
    public int ConversationScenes { get; init; } = 24000;

    /// <summary>Conversations without a picture, for stage 2.</summary>
    public int TextConversations { get; init; } = 400;

    /// <summary>Held-out scenes with captions, and as many with questions.</summary>
    public int HeldOutScenes { get; init; } = 150;

    /// <summary>Updates of the language model on captions as text.</summary>
    public int WarmUpSteps { get; init; } = 1200;

    /// <summary>Captions an update of the warm-up.</summary>
    public int WarmUpBatch { get; init; } = 32;

    /// <summary>Updates of stage 1.</summary>
    public int Stage1Steps { get; init; } = 400;

    /// <summary>Samples an update of stage 1.</summary>
    public int Stage1Batch { get; init; } = 64;

    /// <summary>Updates of stage 2.</summary>
    public int Stage2Steps { get; init; } = 1800;

    /// <summary>Samples an update of stage 2.</summary>
    public int Stage2Batch { get; init; } = 32;

    /// <summary>Base learning rate of the warm-up.</summary>
    public double WarmUpLearningRate { get; init; } = 1e-3;

    /// <summary>Base learning rate of stage 1.</summary>
    public double Stage1LearningRate { get; init; } = 2e-3;

    /// <summary>Base learning rate of stage 2.</summary>
    public double Stage2LearningRate { get; init; } = 1e-3;
}
