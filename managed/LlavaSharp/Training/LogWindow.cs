namespace LlavaSharp.Training;

/// <summary>Averages updates over logging_steps, as Hugging Face's log does, and writes them; the last update closes a window.</summary>
internal sealed class LogWindow(RunLog? log, int every, int total)
{
    private readonly List<StepRecord> _pending = [];

    public void Add(StepRecord record)
    {
        if (log is null)
        {
            return;
        }

        _pending.Add(record);
        if (record.Step % every == 0 || record.Step == total)
        {
            log.Write(record with
            {
                Loss = _pending.Where(r => double.IsFinite(r.Loss)).Select(r => r.Loss).DefaultIfEmpty(double.NaN).Average(),
                Samples = _pending.Sum(r => r.Samples),
                Tokens = _pending.Sum(r => r.Tokens),
                SupervisedTokens = _pending.Sum(r => r.SupervisedTokens),
                Seconds = _pending.Sum(r => r.Seconds),
                DataWaitSeconds = _pending.Sum(r => r.DataWaitSeconds),
            });
            _pending.Clear();
        }
    }
}
