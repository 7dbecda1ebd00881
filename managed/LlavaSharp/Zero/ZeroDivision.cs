using System.Globalization;

namespace LlavaSharp.Zero;

/// <summary>How training is divided over processes, after Rajbhandari et al. 2020 ("ZeRO").</summary>
public sealed record ZeroDivision
{
    /// <summary>0 divides nothing; 1 the optimizer's state; 2 gradients too; 3 the decoder's weights too.</summary>
    public int Stage { get; init; }

    /// <summary>Processes.</summary>
    public int World { get; init; } = 1;

    /// <summary>How many divided blocks are fetched ahead of the one that computes. A block is a layer with its adapters, the
    /// embedding, or the head: at most this many and one are whole at once.</summary>
    public int Prefetch { get; init; } = 1;

    /// <summary>Gradients of units that follow each other share an exchange up to so many elements, and larger ones go in pieces of this
    /// size. What is on its way is waited for when the next bucket is full, so that at most two are held. DeepSpeed's
    /// reduce_bucket_size; the default is Hugging Face's "auto" at a width of 4096.</summary>
    public long BucketElements { get; init; } = 1 << 24;

    /// <summary>Weights that are gathered next to each other share an exchange up to so many elements: a layer and its adapters, and
    /// units that were updated. DeepSpeed's allgather_bucket_size.</summary>
    public long GatherElements { get; init; } = 1 << 24;

    /// <summary>Whether exchanges run beside the computing; DeepSpeed's overlap_comm.</summary>
    public bool Overlap { get; init; } = true;

    /// <summary>Refuses what makes no plan.</summary>
    /// <exception cref="UserErrorException">A value is out of range.</exception>
    public void Check()
    {
        Require(Stage is >= 0 and <= 3, $"ZeRO stage {Stage}: there are 0, 1, 2 and 3");
        Require(World >= 1, $"{World} processes: at least 1 is needed");
        Require(Prefetch >= 0, $"prefetch {Prefetch}: 0 fetches each block when it is needed, 1 one ahead");
        Require(BucketElements >= 1, $"reduce_bucket_size {BucketElements}: at least 1 is needed");
        Require(GatherElements >= 1, $"allgather_bucket_size {GatherElements}: at least 1 is needed");
    }

    private static void Require(bool holds, FormattableString otherwise)
    {
        if (!holds)
        {
            throw new UserErrorException(otherwise.ToString(CultureInfo.InvariantCulture));
        }
    }
}
