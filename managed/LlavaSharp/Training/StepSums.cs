using LlavaSharp.Zero;

namespace LlavaSharp.Training;

/// <summary>What the micro-batches of an update add up to.</summary>
internal sealed class StepSums
{
    /// <summary>Weighted losses.</summary>
    public double Loss { get; set; }

    /// <summary>Their weights.</summary>
    public double Weights { get; set; }

    /// <summary>Samples that were not left out.</summary>
    public double Samples { get; private set; }

    /// <summary>Tokens, image rows included.</summary>
    public double Tokens { get; private set; }

    /// <summary>Tokens that were learned.</summary>
    public double Supervised { get; private set; }

    /// <summary>Samples that were left out.</summary>
    public double Left { get; private set; }

    /// <summary>Samples that the recipe would have masked.</summary>
    public double Masked { get; private set; }

    /// <summary>Operations.</summary>
    public double Flops { get; private set; }

    /// <summary>Adds a micro-batch's counts.</summary>
    public void Add(IReadOnlyList<PreparedSample> batch, BatchLayout layout, double flops)
    {
        Samples += batch.Count(s => s.Problem is null);
        Left += batch.Count(s => s.Problem is not null);
        Masked += batch.Count(s => s.Text.RecipeMasks);
        Tokens += layout.Tokens.Length;
        Supervised += layout.SupervisedTokens;
        Flops += flops;
    }

    /// <summary>The sums over all processes, in rank order: the same on all of them.</summary>
    public StepSums Over(Ranks ranks)
    {
        if (ranks.World == 1)
        {
            return this;
        }

        var all = ranks.Gather("adding an update's losses up", (double[])[Loss, Weights, Samples, Tokens, Supervised, Left, Masked, Flops]);
        double Sum(int at) => all.Sum(values => values[at]);
        return new()
        {
            Loss = Sum(0),
            Weights = Sum(1),
            Samples = Sum(2),
            Tokens = Sum(3),
            Supervised = Sum(4),
            Left = Sum(5),
            Masked = Sum(6),
            Flops = Sum(7),
        };
    }
}
