using LlavaSharp.Cli;

namespace LlavaSharp.Tests.Cli;

/// <summary>Runs a command line in this process and keeps what it printed.</summary>
internal static class Host
{
    public static (int Code, string Out, string Error) Run(params string[] arguments) => RunWith(null, default, arguments);

    public static (int Code, string Out, string Error) RunWith(
        Dictionary<string, string>? variables, CancellationToken cancellation, params string[] arguments)
    {
        using StringWriter output = new() { NewLine = "\n" }, error = new() { NewLine = "\n" };
        var code = App.Run(arguments, new Shell(output, error, name => variables?.GetValueOrDefault(name), cancellation));
        return (code, output.ToString(), error.ToString());
    }

    /// <summary>Runs a command line that must succeed.</summary>
    public static void Succeed(params string[] arguments)
    {
        var (code, output, error) = Run(arguments);
        Assert.True(code == 0, output + error);
    }

    /// <summary>The one line that a mistake gives, without "error: "; checks that nothing else was printed.</summary>
    public static string Mistake(params string[] arguments)
    {
        var (code, output, error) = Run(arguments);
        Assert.Equal((2, ""), (code, output));
        Assert.StartsWith("error: ", error, StringComparison.Ordinal);
        Assert.Equal(error.Length - 1, error.IndexOf('\n', StringComparison.Ordinal));
        return error["error: ".Length..^1];
    }
}
