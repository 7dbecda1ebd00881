using System.CommandLine;
using System.CommandLine.Invocation;
using LlavaSharp.Training;

namespace LlavaSharp.Cli;

/// <summary>Prints the program, the engine, libtorch and the backend.</summary>
internal sealed class VersionAction(Shell shell) : SynchronousCommandLineAction
{
    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        var version = EngineVersion.Read();
        shell.Out.WriteLine($"llavasharp {typeof(VersionAction).Assembly.GetName().Version!.ToString(3)}");
        shell.Out.WriteLine($"engine     {version.Engine}");
        shell.Out.WriteLine($"libtorch   {version.Libtorch}");
        shell.Out.WriteLine($"backend    {version.Backend}");
        return ExitCode.Ok;
    }
}
