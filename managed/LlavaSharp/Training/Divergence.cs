using System.Globalization;

namespace LlavaSharp.Training;

/// <summary>Tells a run that has lost its model from one that skips a bad batch. <c>--on_nan skip</c> leaves an update out whose loss or
/// gradient is not finite; where the weights themselves have overflowed, all that follow are left out, and the result answers
/// nothing.</summary>
/// <param name="skips">Whether such updates are left out; else they end the run by themselves.</param>
internal sealed class Divergence(bool skips)
{
    // So many bad batches in a row are no accident.
    private const int InRowMax = 10;

    /// <summary>Whether the model is lost: its state is then not worth a checkpoint.</summary>
    public bool IsFound { get; private set; }

    /// <summary>Looks at the updates so far; ten in a row that were left out end the run.</summary>
    /// <param name="steps">Every update, in order.</param>
    /// <exception cref="UserErrorException">The weights compute nothing any more.</exception>
    public void Check(IReadOnlyList<StepRecord> steps) => ThrowIf(InRow(steps) >= InRowMax, steps);

    /// <summary>Looks at all updates, once they are done: two at the end that were left out, or as many as there are, are enough.</summary>
    /// <param name="steps">Every update, in order.</param>
    /// <returns>A warning where one alone was left out at the end; else null.</returns>
    /// <exception cref="UserErrorException">The weights compute nothing any more.</exception>
    public string? CheckEnd(IReadOnlyList<StepRecord> steps)
    {
        var inRow = InRow(steps);
        ThrowIf(inRow > 1 || (inRow > 0 && inRow == steps.Count), steps);
        return inRow == 0 ? null
            : "the last update was left out, for its loss or gradient is not finite: if that was no bad sample, the result computes "
                + "nothing; ask it with llavasharp generate before it is used";
    }

    private void ThrowIf(bool found, IReadOnlyList<StepRecord> steps)
    {
        if (!found)
        {
            return;
        }

        IsFound = true;
        var inRow = InRow(steps);
        throw new UserErrorException(string.Format(
            CultureInfo.InvariantCulture,
            "the last {0} of {1} updates gave no finite loss and gradient and were left out: since update {2} the weights compute nothing "
            + "any more, and no result is written; lower --learning_rate and begin anew, or go on from a checkpoint before that with "
            + "--resume DIR",
            inRow, steps[^1].TotalSteps, steps.Count - inRow));
    }

    private int InRow(IReadOnlyList<StepRecord> steps) => skips ? steps.Reverse().TakeWhile(IsLeftOut).Count() : 0;

    private static bool IsLeftOut(StepRecord step) =>
        step.SupervisedTokens > 0 && !(double.IsFinite(step.Loss) && double.IsFinite(step.GradientNorm));
}
