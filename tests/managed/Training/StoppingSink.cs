using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

/// <summary>Asks a run to stop after an update, as Ctrl-C would, and keeps what the run says.</summary>
internal sealed class StoppingSink(int after = int.MaxValue) : IProgressSink, IDisposable
{
    private readonly CancellationTokenSource _stop = new();

    public List<string> Notes { get; } = [];

    public List<string> Warnings { get; } = [];

    public CancellationToken Token => _stop.Token;

    public void Note(string line) => Notes.Add(line);

    public void Warn(string line) => Warnings.Add(line);

    public void Begin(string name, int totalSteps)
    {
    }

    public void Step(StepRecord step)
    {
        if (step.Step == after)
        {
            _stop.Cancel();
        }
    }

    public void End()
    {
    }

    public void Dispose() => _stop.Dispose();
}
