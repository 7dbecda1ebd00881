using System.Diagnostics;
using LlavaSharp.Training;
using Spectre.Console;

namespace LlavaSharp.Cli;

/// <summary>Progress for a terminal: one line, redrawn at most ten times a second; notes scroll by above it.</summary>
internal sealed class TerminalProgress(IAnsiConsole console) : IProgressSink
{
    private const int BarWidth = 20;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly Stopwatch _clock = new();
    private ProgressText _text = new();
    private string _name = "";
    private string _line = "";

    // Columns of the line, and of the one that stands on the terminal.
    private int _width, _drawn;

    public void Note(string line) => Above(Markup.Escape(line));

    public void Warn(string line) => Above($"[yellow]warning:[/] {Markup.Escape(line)}");

    public void Begin(string name, int totalSteps)
    {
        (_name, _text, _line) = (name, new(), "");
        _clock.Reset();
    }

    public void Step(StepRecord step)
    {
        _text.Add(step);
        if (_clock.IsRunning && _clock.Elapsed < Pause && step.Step != step.TotalSteps)
        {
            return;
        }

        _clock.Restart();
        var done = (int)((long)BarWidth * step.Step / step.TotalSteps);
        var bar = $"[green]{new string('━', done)}[/][grey]{new string('━', BarWidth - done)}[/]";
        var room = Math.Max(20, console.Profile.Width - BarWidth - _name.Length - 4);
        var text = _text.Line(step);
        text = text.Length > room ? text[..room] : text;
        _line = $"{Markup.Escape(_name)} {bar} {Markup.Escape(text)}";
        _width = _name.Length + 1 + BarWidth + 1 + text.Length;
        Redraw();
    }

    public void End()
    {
        if (_line.Length > 0)
        {
            console.WriteLine();
            (_line, _drawn) = ("", 0);
        }
    }

    private void Above(string markup)
    {
        Clear();
        console.MarkupLine(markup);
        if (_line.Length > 0)
        {
            Draw();
        }
    }

    private void Redraw()
    {
        Clear();
        Draw();
    }

    private void Draw()
    {
        console.Markup(_line);
        _drawn = _width;
    }

    // Written over rather than erased: that needs no code of the terminal's.
    private void Clear()
    {
        if (_drawn > 0)
        {
            console.Write(new ControlCode($"\r{new string(' ', _drawn)}\r"));
            _drawn = 0;
        }
    }
}
