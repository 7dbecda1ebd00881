using LlavaSharp.Checkpoints;

namespace LlavaSharp.Cli;

/// <summary>
/// Ends the process within a second of being asked to stop, and deletes what it was writing: for loading, converting and reading data,
/// which do not look at the request in the middle of a file. Work that ends in order by itself (see <see cref="GracefulStop"/>) keeps its
/// time.
/// </summary>
internal static class PromptEnd
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(700);

    /// <summary>Begins to wait for the request.</summary>
    /// <param name="error">Is told that the process has stopped.</param>
    /// <param name="asked">Set when the process is asked to stop.</param>
    public static void Follow(TextWriter error, CancellationToken asked) => asked.Register(() =>
    {
        // Work that ends in order at the request is left to it, also for what follows that work.
        if (!GracefulStop.IsActive)
        {
            new Thread(() => End(error)) { IsBackground = true, Name = "prompt end" }.Start();
        }
    });

    private static void End(TextWriter error)
    {
        Thread.Sleep(Patience);
        if (!GracefulStop.IsActive)
        {
            Temporaries.Abandon();
            error.WriteLine("stopped");
            Environment.Exit(ExitCode.Cancelled);
        }
    }
}
