namespace LlavaSharp.Interop;

/// <summary>The engine refused or failed a call. The message is one line and holds the values.</summary>
public sealed class EngineException : Exception
{
    /// <summary>Creates an internal fault without a message; prefer the overload with a status.</summary>
    public EngineException()
        : this(EngineStatus.Internal, "The engine failed.")
    {
    }

    /// <summary>Creates an internal fault.</summary>
    /// <param name="message">What happened, with the values.</param>
    public EngineException(string message)
        : this(EngineStatus.Internal, message)
    {
    }

    /// <summary>Creates an internal fault over its cause.</summary>
    /// <param name="message">What happened, with the values.</param>
    /// <param name="innerException">The cause.</param>
    public EngineException(string message, Exception innerException)
        : base(message, innerException) => Status = EngineStatus.Internal;

    /// <summary>Creates the exception of a status.</summary>
    /// <param name="status">What the call came to.</param>
    /// <param name="message">What happened, with the values.</param>
    public EngineException(EngineStatus status, string message)
        : base(message) => Status = status;

    /// <summary>What the call came to.</summary>
    public EngineStatus Status { get; }
}
