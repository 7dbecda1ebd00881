namespace LlavaSharp.Tests.Cli;

public sealed class AppTests
{
    [Theory]
    [InlineData("--help")]
    [InlineData("-h")]
    [InlineData("")]
    public void Help_lists_each_verb_with_a_line_and_an_example_within_100_columns(string flag)
    {
        var (code, output, error) = Host.Run(flag.Length == 0 ? [] : [flag]);
        Assert.Equal((0, ""), (code, error));
        foreach (var verb in (string[])["demo", "train", "generate", "merge-lora", "convert", "parity", "bench"])
        {
            var lines = output.Split('\n').SkipWhile(l => !l.StartsWith($"  {verb} ", StringComparison.Ordinal)).ToArray();
            Assert.True(lines.Length > 1, $"{verb} is not listed");
            Assert.Contains($"$ llavasharp {verb}", lines[1]);
        }

        Assert.All(output.Split('\n'), line => Assert.InRange(line.Length, 0, 100));
    }

    [Theory]
    [InlineData("demo", "report.json")]
    [InlineData("train", "--tune_mm_mlp_adapter")]
    [InlineData("generate", "--max_new_tokens")]
    [InlineData("merge-lora", "--adapter")]
    [InlineData("convert", "--shard_size")]
    [InlineData("parity", "PARITY_BREAK")]
    [InlineData("bench", "--peer")]
    public void Help_of_a_verb_teaches_it_within_100_columns(string verb, string mention)
    {
        var (code, output, error) = Host.Run(verb, "--help");
        Assert.Equal((0, ""), (code, error));
        Assert.StartsWith($"llavasharp {verb}", output);
        Assert.Contains(mention, output);
        Assert.Contains($"$ llavasharp {verb}", output);
        Assert.All(output.Split('\n'), line => Assert.InRange(line.Length, 0, 100));
    }

    [Fact]
    public void Version_names_engine_libtorch_and_backend()
    {
        var (code, output, _) = Host.Run("--version");
        Assert.Equal(0, code);
        Assert.Matches(@"^llavasharp \d+\.\d+\.\d+\nengine     \S+\nlibtorch   2\.\d+\S*\nbackend    CPU, \S+\n$", output);
    }

    [Theory]
    [InlineData("unknown verb 'trian'; did you mean train?", "trian")]
    [InlineData("unknown verb 'frobnicate'", "frobnicate")]
    [InlineData("unknown flag --imge; did you mean --image?", "generate", "--model", "m", "--prompt", "p", "--imge", "i")]
    [InlineData("unknown flag --learning_rat; did you mean --learning_rate?", "train", "--learning_rat", "1")]
    [InlineData("unknown flag --sed; did you mean --seed?", "demo", "--sed", "1")]
    [InlineData("--threads -1: expected a whole number of at least 0", "demo", "--threads", "-1")]
    [InlineData("--budget big is not known: use full or smoke", "demo", "--budget", "big")]
    [InlineData("--model is missing; see llavasharp generate --help", "generate", "--prompt", "p")]
    [InlineData("--prompt needs a value; see llavasharp generate --help", "generate", "--model", "m", "--prompt")]
    [InlineData("--seed many: expected a whole number of at least 0", "generate", "--model", "m", "--prompt", "p", "--seed", "many")]
    [InlineData("--temperature hot: expected a number of at least 0", "generate", "--model", "m", "--prompt", "p", "--temperature", "hot")]
    [InlineData("--temperature -1: expected a number of at least 0", "generate", "--model", "m", "--prompt", "p", "--temperature", "-1")]
    [InlineData("--top_p 0: expected a number above 0, at most 1", "generate", "--model", "m", "--prompt", "p", "--top_p", "0")]
    [InlineData("parity needs at least one CASE; see llavasharp parity --help", "parity")]
    [InlineData("model folder /no/such/folder does not exist", "generate", "--model", "/no/such/folder", "--prompt", "p")]
    public void Mistakes_are_one_line_and_code_2(string message, params string[] arguments) =>
        Assert.Equal(message, Host.Mistake(arguments));

    [Fact]
    public void A_request_to_stop_gives_code_130()
    {
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        var golden = Path.Combine(Imaging.Golden.Folder, "mha");
        var (code, _, error) = Host.RunWith(null, stop.Token, "parity", golden);
        Assert.Equal((130, "stopped\n"), (code, error));
    }
}
