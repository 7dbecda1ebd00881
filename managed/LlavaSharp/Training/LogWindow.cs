namespace LlavaSharp.Training;

/// <summary>Averages updates over logging_steps, as Hugging Face's log does, and writes them; the last update closes a window.</summary>
internal sealed class LogWindow(IReadOnlyList<IRunLog> logs, int every, int total)
{
    private readonly List<StepRecord> _pending = [];

    public void Add(StepRecord record)
    {
        if (logs.Count == 0)
        {
            return;
        }

        _pending.Add(record);
        if (record.Step % every == 0 || record.Step == total)
        {
            var mean = record with
            {
                Loss = _pending.Where(r => double.IsFinite(r.Loss)).Select(r => r.Loss).DefaultIfEmpty(double.NaN).Average(),
                Samples = _pending.Sum(r => r.Samples),
                Tokens = _pending.Sum(r => r.Tokens),
                SupervisedTokens = _pending.Sum(r => r.SupervisedTokens),
                Flops = _pending.Sum(r => r.Flops),
                Seconds = _pending.Sum(r => r.Seconds),
                DataWaitSeconds = _pending.Sum(r => r.DataWaitSeconds),
            };
            foreach (var log in logs)
            {
                log.Write(mean);
            }

            _pending.Clear();
        }
    }
}
