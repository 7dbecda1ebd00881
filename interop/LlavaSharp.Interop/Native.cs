using System.Runtime.InteropServices.Marshalling;

namespace LlavaSharp.Interop;

/// <content>What the generated part needs by hand: the loader, and status to exception.</content>
internal static unsafe partial class Native
{
    // What the framework has a type for; every other status is an EngineException.
    private static readonly Dictionary<EngineStatus, Func<string, Exception>> Exceptions = new()
    {
        [EngineStatus.OutOfMemory] = message => new InsufficientMemoryException(message),
        [EngineStatus.Cancelled] = message => new OperationCanceledException(message),
    };

    static Native() => EngineLoader.Register();

    /// <summary>The engine's reason for this thread's last failed call.</summary>
    public static string Message => Text(ErrorMessage());

    /// <summary>Copies text that the engine owns.</summary>
    public static string Text(byte* text) => Utf8StringMarshaller.ConvertToManaged(text) ?? "";

    /// <summary>Turns a failed status into its exception, with the engine's message; on the thread of the failed call.</summary>
    public static void ThrowIfFailed(this EngineStatus status)
    {
        if (status != EngineStatus.Ok)
        {
            Throw(status);
        }

        static void Throw(EngineStatus status) => throw (Exceptions.TryGetValue(status, out Func<string, Exception>? make)
            ? make(Message)
            : new EngineException(status, Message));
    }
}
