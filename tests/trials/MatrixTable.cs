namespace LlavaSharp.Trials;

/// <summary>The matrix as Markdown.</summary>
internal static class MatrixTable
{
    /// <summary>Its lines.</summary>
    public static IEnumerable<string> Of(IReadOnlyList<Matrix.Result> results, int updates)
    {
        var worst = results.MaxBy(r => r.Weights)!;
        return
        [
            "## Every stage, at real ranks, against one process",
            "",
            $"{results.Count} combinations over {updates} updates of mixed samples, each run twice under mpirun, in processes of their own. W ranks",
            "with accumulation A are compared with one process with accumulation A·W, whose update has the same micro-batches. *Loss* and *norm*: the",
            "largest relative difference of any update. *Weights*: the largest ‖a − b‖ / ‖a‖ of any tensor of the exported result, in Frobenius' norm.",
            $"The bound is 1e-5 on losses and weights; one rank must give the bytes of the plain process. {results.Count(r => r.Holds)} of {results.Count} hold,",
            $"in {results.Count(r => r.SameBytes)} the two runs gave the same bytes (losses, norms, weights). Worst: {Report.Figure(results.Max(r => r.Loss))} in a loss,",
            $"{Report.Figure(worst.Weights)} in a tensor ({worst.Case.Trains}, stage {worst.Case.Stage}, accumulation {worst.Case.Accumulation}, {worst.Case.World} ranks, {worst.Tensor}).",
            "",
            "| trained | stage | accumulation | ranks | loss | norm | weights | twice the same bytes |",
            "|---|---|---|---|---|---|---|---|",
            .. results.Select(r => $"| {r.Case.Trains} | {r.Case.Stage} | {r.Case.Accumulation} | {r.Case.World} | {Report.Figure(r.Loss)} | {Report.Figure(r.Norm)} "
                + $"| {Report.Figure(r.Weights)} | {(r.SameBytes ? "yes" : "NO")} |"),
        ];
    }
}
