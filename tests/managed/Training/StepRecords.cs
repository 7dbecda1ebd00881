using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

/// <summary>Records of updates that nobody ran, for what writes and shows them.</summary>
internal static class StepRecords
{
    public static StepRecord Of(int step, double loss, int total) => new()
    {
        Step = step,
        TotalSteps = total,
        Epoch = 1,
        Loss = loss,
        LearningRate = 1e-3,
        GradientNorm = 1,
        Samples = 2,
        Tokens = 20,
        SupervisedTokens = 5,
        Seconds = 0.5,
        DataWaitSeconds = 0.1,
        ResidentBytes = 1,
    };
}
