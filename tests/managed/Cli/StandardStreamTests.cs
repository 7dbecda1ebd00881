using System.Text;
using LlavaSharp.Cli;
using LlavaSharp.Tests.Training;

namespace LlavaSharp.Tests.Cli;

/// <summary>Standard output and standard error that are full, closed or no terminal: a finished run stays finished.</summary>
public sealed class StandardStreamTests : IDisposable
{
    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData("exec \"$@\" 2>/dev/full")]
    [InlineData("exec \"$@\" 2>&-")]
    [InlineData("exec \"$@\" >/dev/full")]
    [InlineData("exec \"$@\" >&-")]
    [InlineData("exec \"$@\" <&- >&- 2>&-")]
    public async Task A_run_ends_well_whatever_becomes_of_its_words(string script)
    {
        var (code, output, error) = await Processes.Shell(script, Train(_tiny["out"]));
        Assert.True(code == 0, $"{code}\n{output}\n{error}");
        Assert.True(File.Exists(Path.Combine(_tiny["out"], "trainer_state.json")));
        Assert.Equal(4, RunFolder.Log(_tiny["out"]).Length);
        if (script.Contains(">/dev/full", StringComparison.Ordinal) && !script.Contains('2', StringComparison.Ordinal))
        {
            Assert.Contains("warning: standard output cannot be written: No space left on device; it would have said: trained 4 updates", error);
        }
    }

    [Theory]
    [InlineData("exec \"$@\" >/dev/full", "No space left on device")]
    [InlineData("exec \"$@\" >&-", "it is closed")]
    public async Task A_result_that_cannot_be_written_is_one_line_and_code_2(string script, string reason)
    {
        string[][] verbs = [["--help"], ["train", "--help"], ["--version"]];
        foreach (var verb in verbs)
        {
            Assert.Equal((2, "", $"error: standard output cannot be written: {reason}\n"), await Processes.Shell(script, verb));
        }
    }

    [Fact]
    public async Task A_reader_that_has_gone_is_no_error()
    {
        var (code, output, error) = await Processes.Shell("\"$@\" | head -n 1", "train", "--help");
        Assert.Equal((0, "llavasharp train --FLAG VALUE …\n", ""), (code, output, error));
    }

    [Fact]
    public async Task A_mistake_gives_its_code_also_where_nobody_hears_it()
    {
        Assert.Equal(2, (await Processes.Shell("exec \"$@\" 2>&-", "frobnicate")).Code);
        Assert.Equal(2, (await Processes.Shell("exec \"$@\" 2>/dev/full", "frobnicate")).Code);
    }

    [Theory]
    [InlineData("TERM=xterm-256color")]
    [InlineData("TERM=dumb")]
    [InlineData("NO_COLOR=1")]
    public async Task A_file_gets_text_without_a_terminals_codes(string variable)
    {
        var (code, output, error) = await Processes.Run(Train(_tiny["out"]), variable);
        Assert.Equal(0, code);
        Assert.DoesNotContain(output + error, c => char.IsControl(c) && c != '\n');
    }

    [Fact]
    public void A_terminal_of_few_words_is_drawn_on_without_codes()
    {
        using var text = new StringWriter { NewLine = "\n" };
        var shell = new Shell(TextWriter.Null, text, name => name == "NO_COLOR" ? "1" : null, default) { IsTerminal = true };
        var progress = shell.Progress();
        progress.Begin("stage 1", 2);
        progress.Note("[a note]");
        progress.Step(StepRecords.Of(1, loss: 1, total: 2));
        progress.Warn("careful");
        progress.Step(StepRecords.Of(2, loss: 1, total: 2));
        progress.End();
        Assert.Contains("[a note]", text.ToString());
        Assert.Contains("warning: careful", text.ToString());
        Assert.Contains("\r", text.ToString());
        Assert.DoesNotContain('\u001b', text.ToString());
    }

    [Fact]
    public void Text_is_written_as_UTF8_in_whole_characters()
    {
        using var bytes = new MemoryStream();
        using var writer = new StandardWriter(bytes, reason => Assert.Fail(reason));
        foreach (var half in "é\U0001F600")
        {
            writer.Write(half);
        }

        writer.WriteLine("日本");
        writer.Write((string?)null);
        writer.Write(['a', 'b', 'c'], 1, 1);
        Assert.Equal("é\U0001F600日本\nb", Encoding.UTF8.GetString(bytes.ToArray()));
    }

    [Fact]
    public void Who_owns_a_stream_that_fails_says_what_becomes_of_it()
    {
        using var full = new FileStream("/dev/full", FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        var said = new List<string>();
        using var closed = new StandardWriter(null, said.Add);
        using var refused = new StandardWriter(full, said.Add);
        closed.WriteLine("a");
        refused.WriteLine("b");
        Assert.Equal("it is closed", said[0]);
        Assert.StartsWith("No space left on device", said[1]);
    }

    private string[] Train(string output) =>
        _tiny.Stage1(output, "--max_steps", "4", "--threads", "1", "--dataloader_num_workers", "1", "--save_strategy", "no");
}
