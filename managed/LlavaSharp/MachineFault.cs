using LlavaSharp.Interop;

namespace LlavaSharp;

/// <summary>
/// What the machine refused, not this program: memory, a file or a disk, a library. The user can put it right, and it is reported as the
/// user's mistakes are.
/// </summary>
internal static class MachineFault
{
    /// <summary>The reason in words.</summary>
    /// <param name="exception">Any exception.</param>
    /// <returns>A line; null when it is no fault of the machine.</returns>
    public static string? Line(Exception exception) => exception switch
    {
        AggregateException { InnerExceptions: [var only] } => Line(only),
        InsufficientMemoryException => exception.Message,
        OutOfMemoryException => "out of memory: the machine, or a limit on this process, has no more",
        EngineException { Status: EngineStatus.Unsupported or EngineStatus.Device } => exception.Message,
        IOException or UnauthorizedAccessException => exception.Message,
        _ => null,
    };
}
