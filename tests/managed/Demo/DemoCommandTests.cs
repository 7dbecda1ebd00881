using LlavaSharp.Tests.Cli;

namespace LlavaSharp.Tests.Demo;

public sealed class DemoCommandTests
{
    [Fact]
    public void Wrong_flags_are_one_line()
    {
        Assert.Equal("--budget tiny is not known: use full or smoke", Host.Mistake("demo", "--budget", "tiny"));
        Assert.StartsWith("--threads -2", Host.Mistake("demo", "--threads", "-2"));
    }

    [Fact]
    public void The_smoke_budget_ends_with_four_lines_and_the_reports_path()
    {
        using TempFolder temp = new();
        string folder = temp["demo"];
        (int code, string output, string error) = Host.Run("demo", "--out", folder, "--budget", "smoke", "--seed", "1");
        Assert.True(code == 0, error);
        string[] lines = output.TrimEnd('\n').Split('\n');
        Assert.Equal(["stage 1", "stage 2", "control", "cost", "report"], lines.Select(line => line[..8].Trim()));
        Assert.Equal(Path.Combine(folder, "report.html"), lines[4]["report".Length..].Trim());
    }
}
