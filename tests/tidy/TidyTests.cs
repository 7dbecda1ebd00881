namespace LlavaSharp.Tidy.Tests;

/// <summary>The repository keeps its rules, and each rule can be broken.</summary>
public sealed class TidyTests
{
    public static TheoryData<string> RuleNames => [.. Rules.All.Keys];

    public static TheoryData<int> ExampleIndices => [.. Enumerable.Range(0, Examples.All.Count)];

    [Theory]
    [MemberData(nameof(RuleNames))]
    public void Repository_keeps(string rule)
    {
        List<Violation> violations = [.. Rules.All[rule](SourceTree.OfRepository())];
        Assert.True(violations.Count == 0, $"{rule}:\n{string.Join('\n', violations)}");
    }

    [Theory]
    [MemberData(nameof(ExampleIndices))]
    public void Rule_sees_what_breaks_it_and_only_that(int index)
    {
        (string rule, string path, string bad, string good) = Examples.All[index];
        Violation violation = Assert.Single(Rules.All[rule](new SourceTree([new SourceFile(path, bad)])));
        Assert.Equal(path, violation.Path);
        Assert.InRange(violation.Line, 1, bad.Split('\n').Length);
        Assert.Empty(Rules.All[rule](new SourceTree([new SourceFile(path, good)])));
    }

    [Fact]
    public void Every_rule_has_an_example() =>
        Assert.Equal(Rules.All.Keys.Order(), Examples.All.Select(example => example.Rule).Distinct().Order());

    [Fact]
    public void The_tree_that_is_looked_at_is_the_whole_repository()
    {
        SourceTree tree = SourceTree.OfRepository();
        Assert.Contains(tree.Files, file => file.Path == "native/include/llavasharp.h");
        Assert.Contains(tree.Files, file => file.Path == "managed/LlavaSharp/UserErrorException.cs");
        Assert.Contains(tree.Files, file => file.Path == ".ci/run");
        Assert.Contains(tree.Files, file => file.Path == "build.sh");
        Assert.DoesNotContain(tree.Files, file => file.Under("artifacts") || file.Under("build"));
    }

    [Fact]
    public void Stripping_keeps_positions_and_blanks_literals()
    {
        const string Text = "a(\"exit(\\\"1\"); // exit(\nb('\"'); /* x\ny */ c(\"\"\"abort()\"\"\");\n";
        string code = CodeText.Strip(Text, raw: false);
        Assert.Equal(Text.Length, code.Length);
        Assert.Equal(Text.Count(c => c == '\n'), code.Count(c => c == '\n'));
        Assert.DoesNotContain("exit", code);
        Assert.DoesNotContain("abort", code);
        Assert.Contains("b(", code);
        Assert.Contains("c(", code);
        string raw = CodeText.Strip("f(R\"x(abort() \" )x\"); n = 1'000; g('a');\n", raw: true);
        Assert.DoesNotContain("abort", raw);
        Assert.Contains("1'000", raw);
        Assert.Contains("g(", raw);
    }
}
