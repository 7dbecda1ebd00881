using System.Reflection;
using LlavaSharp.BindingGenerator;

namespace LlavaSharp.Interop.Tests;

/// <summary>The generator's command line on a repository of one small header: exit codes and the one line it says.</summary>
public sealed class GeneratorVerbTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("llavasharp-bindings").FullName;

    public GeneratorVerbTests()
    {
        foreach (string path in new[] { Bindings.HeaderPath, Bindings.BindingsPath, Bindings.LayoutPath })
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(_root, path))!);
        }
        File.Copy(Repository.File("tests/interop/Golden/small.h"), Path.Combine(_root, Bindings.HeaderPath));
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Check_accepts_what_write_wrote_and_nothing_else()
    {
        Assert.SkipWhen(ClangAst.Find() is null && Environment.GetEnvironmentVariable("CI") != "true", "clang-14 is not installed");
        Assert.Equal((1, "error: Native.g.cs is outdated: run ./build.sh bindings\n"), Run("check", _root));
        Assert.Equal((0, $"wrote {Bindings.BindingsPath}\nwrote {Bindings.LayoutPath}\n"), Run("write", _root));
        Assert.Equal((0, ""), Run("check", _root));
        Assert.Equal((0, ""), Run("write", _root));

        File.AppendAllText(Path.Combine(_root, Bindings.LayoutPath), "\n");
        Assert.Equal((1, "error: layout.g.c is outdated: run ./build.sh bindings\n"), Run("check", _root));
        Assert.Equal((0, $"wrote {Bindings.LayoutPath}\n"), Run("write", _root));

        File.AppendAllText(Path.Combine(_root, Bindings.HeaderPath), "\n/** New. */\nvoid llv_new(bool on);\n");
        (int code, string said) = Run("write", _root);
        Assert.Equal(1, code);
        Assert.StartsWith("error: ", said, StringComparison.Ordinal);
        Assert.Contains("unknown type name 'bool'", said);
    }

    [Theory]
    [InlineData]
    [InlineData("wrote")]
    [InlineData("write", "one", "two")]
    public void Other_words_get_the_usage(params string[] words) =>
        Assert.Equal((2, "usage: LlavaSharp.BindingGenerator write|check [repository]\n"), Run(words));

    private static (int Code, string Said) Run(params string[] words)
    {
        (TextWriter output, TextWriter error) = (Console.Out, Console.Error);
        using StringWriter said = new() { NewLine = "\n" };
        try
        {
            Console.SetOut(said);
            Console.SetError(said);
            int code = (int)typeof(Bindings).Assembly.EntryPoint!.Invoke(null, BindingFlags.DoNotWrapExceptions, null, [words], null)!;
            return (code, said.ToString());
        }
        finally
        {
            Console.SetOut(output);
            Console.SetError(error);
        }
    }
}
