using System.Text.Json;
using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

public sealed class RunLogTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void One_object_a_line_readable_while_the_run_goes_on()
    {
        var path = _folder["log.jsonl"];
        using var log = new RunLog(path);
        log.Write(Record(1, 2.5));
        log.Write(Record(2, double.NaN));
        using var reader = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        var lines = reader.ReadToEnd().Split('\n');
        Assert.Equal(["", ""], [lines[2], string.Concat(lines[3..])]);
        Assert.Equal(2.5, JsonDocument.Parse(lines[0]).RootElement.GetProperty("loss").GetDouble());
        Assert.Equal(JsonValueKind.Null, JsonDocument.Parse(lines[1]).RootElement.GetProperty("loss").ValueKind);
        Assert.Equal(4, JsonDocument.Parse(lines[0]).RootElement.GetProperty("samples_per_second").GetDouble());
    }

    [Fact]
    public void A_path_that_cannot_be_written_is_named()
    {
        var path = Path.Combine(_folder.Path, "no", "log.jsonl");
        Assert.StartsWith($"cannot write '{path}': ", Assert.Throws<UserErrorException>(() => new RunLog(path)).Message);
    }

    [Fact]
    public void A_window_averages_losses_and_adds_up_work()
    {
        var path = _folder["log.jsonl"];
        using (var log = new RunLog(path))
        {
            var window = new LogWindow([log], every: 2, total: 3);
            window.Add(Record(1, 2));
            window.Add(Record(2, 4));
            window.Add(Record(3, 7));
        }

        var lines = File.ReadAllLines(path).Select(l => JsonDocument.Parse(l).RootElement).ToArray();
        Assert.Equal([2, 3], lines.Select(l => l.GetProperty("step").GetInt32()));
        Assert.Equal([3.0, 7.0], lines.Select(l => l.GetProperty("loss").GetDouble()));
        Assert.Equal([4, 2], lines.Select(l => l.GetProperty("samples").GetInt32()));
    }

    private static StepRecord Record(int step, double loss) => StepRecords.Of(step, loss, total: 3);
}
