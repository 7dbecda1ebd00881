using System.Diagnostics;
using LlavaSharp.Training;

namespace LlavaSharp.Cli;

/// <summary>Progress for a file or a pipe: the first and the last update, and one line every few seconds between them.</summary>
internal sealed class PlainProgress(TextWriter writer) : IProgressSink
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(3);

    private readonly Stopwatch _clock = new();
    private ProgressText _text = new();
    private string _name = "";

    public void Note(string line) => writer.WriteLine(line);

    public void Warn(string line) => writer.WriteLine($"warning: {line}");

    public void Begin(string name, int totalSteps)
    {
        (_name, _text) = (name, new());
        _clock.Reset();
    }

    public void Step(StepRecord step)
    {
        _text.Add(step);
        if (!_clock.IsRunning || _clock.Elapsed >= Pause || step.Step == step.TotalSteps)
        {
            writer.WriteLine($"{_name}  {_text.Line(step)}");
            _clock.Restart();
        }
    }

    public void End()
    {
    }
}
