using LlavaSharp.Checkpoints;
using LlavaSharp.Training;

namespace LlavaSharp.Cli;

/// <summary>How weights are stored in memory, by the two flags that verbs beside <c>train</c> have for it.</summary>
internal static class StorageFlags
{
    /// <summary>Reads their values.</summary>
    /// <param name="weights">float32 or bfloat16.</param>
    /// <param name="bits">16, 8 or 4; 4 is NF4 with double quantisation.</param>
    /// <returns>The storage.</returns>
    /// <exception cref="UserErrorException">A value is none of these.</exception>
    public static WeightStorage Read(string weights, string bits) => WeightStorage.Of(
        TrainFlag.Choice("weights", weights, "float32", "bfloat16"),
        TrainFlag.Integer("bits", TrainFlag.Choice("bits", bits, "16", "8", "4"), 4), true, "nf4");
}
