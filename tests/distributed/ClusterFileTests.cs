using System.Diagnostics;
using System.Text.RegularExpressions;
using LlavaSharp.Training;

namespace LlavaSharp.Distributed.Tests;

/// <summary>The examples for clusters: syntax, and that every flag in them is one of train's.</summary>
public sealed partial class ClusterFileTests
{
    private static readonly string Folder = Path.Combine(Repository(), "runs", "cluster");

    [Fact]
    public void Slurms_script_is_one_and_its_flags_exist()
    {
        var path = Path.Combine(Folder, "slurm.sbatch");
        using var bash = Process.Start("bash", ["-n", path]);
        bash.WaitForExit();
        Assert.Equal(0, bash.ExitCode);
        var lines = File.ReadAllLines(path);
        Assert.Contains(lines, l => l.StartsWith("#SBATCH --nodes=", StringComparison.Ordinal));
        CheckFlags(lines.Where(l => l.StartsWith("  --", StringComparison.Ordinal)).Select(l => l.Trim().Split(' ')[0]));
    }

    [Theory]
    [InlineData("mpijob.yaml", "MPIJob", "Launcher Worker")]
    [InlineData("pytorchjob.yaml", "PyTorchJob", "Master Worker")]
    public void Kubernetes_files_are_blocks_of_pairs_and_items(string name, string kind, string roles)
    {
        var lines = File.ReadAllLines(Path.Combine(Folder, name)).Where(l => !l.StartsWith('#')).ToArray();
        var depth = 0;
        foreach (var line in lines)
        {
            var match = Line().Match(line);
            Assert.True(match.Success, line);
            var indent = match.Groups["indent"].Length;
            Assert.True(indent % 2 == 0 && indent <= depth, $"{line}: too deep");

            // A key without a value, and a pair that begins an item, may have something beneath.
            depth = indent + (match.Groups["item"].Success ? 2 : 0) + (line.EndsWith(':') ? 2 : 0);
        }

        Assert.Contains($"kind: {kind}", lines);
        Assert.All(roles.Split(' '), role => Assert.Contains($"    {role}:", lines));
        var flags = lines.Select(l => l.Trim()).SkipWhile(l => l != "- train").TakeWhile(l => l.StartsWith("- ", StringComparison.Ordinal));
        CheckFlags(flags.Select(l => l[2..]).Where(l => l.StartsWith("--", StringComparison.Ordinal)));
    }

    private static void CheckFlags(IEnumerable<string> flags)
    {
        var known = TrainFlags.All.Select(f => "--" + f.Name).ToHashSet();
        var given = flags.ToArray();
        Assert.NotEmpty(given);
        Assert.All(given, f => Assert.Contains(f, known));
    }

    private static string Repository()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "LlavaSharp.slnx")))
        {
            folder = Path.GetDirectoryName(folder)!;
        }

        return folder;
    }

    [GeneratedRegex("""^(?<indent> *)(?<item>- )?(?:[A-Za-z][A-Za-z0-9]*:(?: \S.*)?|"[^"]*"|[A-Za-z0-9_/.:-]+)$""")]
    private static partial Regex Line();
}
