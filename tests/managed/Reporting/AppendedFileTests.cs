using LlavaSharp.Reporting;
using LlavaSharp.Training;

namespace LlavaSharp.Tests.Reporting;

/// <summary>Files about a run on a disk that is full; /dev/full stands for one.</summary>
public sealed class AppendedFileTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly List<string> _said = [];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Records_stand_in_the_file_at_once()
    {
        var path = _folder["records"];
        using var file = new AppendedFile(path, _said.Add);
        file.Append("one\n"u8);
        file.Append([]);
        file.Append("two\n"u8);
        using var reader = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        Assert.Equal("one\ntwo\n", reader.ReadToEnd());
        Assert.Empty(_said);
    }

    [Fact]
    public void A_disk_that_is_full_is_said_once_and_ends_nothing()
    {
        var path = Full("log.jsonl");
        using var file = new AppendedFile(path, _said.Add);
        file.Append("one\n"u8);
        file.Append("two\n"u8);
        Assert.StartsWith($"'{path}' cannot be written: No space left on device", Assert.Single(_said));
        using var silent = new AppendedFile(path, null);
        silent.Append("one\n"u8);
    }

    [Fact]
    public void Logs_and_events_begin_on_a_full_disk_too()
    {
        using var log = new RunLog(Full("log.jsonl"), _said.Add);
        using var events = new EventFile(Full("events"), 1.5, _said.Add);
        events.Write(2, 1, [("train/loss", 1)]);
        Assert.Single(_said);
    }

    private string Full(string name)
    {
        var path = _folder[name];
        File.CreateSymbolicLink(path, "/dev/full");
        return path;
    }
}
