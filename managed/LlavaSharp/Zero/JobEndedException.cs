namespace LlavaSharp.Zero;

/// <summary>A job of several processes has been ended, and whoever was to be told has been told.</summary>
public sealed class JobEndedException : Exception
{
    /// <summary>Creates the exception; prefer the overload with a code.</summary>
    public JobEndedException()
    {
    }

    /// <summary>Creates the exception.</summary>
    /// <param name="message">Why.</param>
    public JobEndedException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception over its cause.</summary>
    /// <param name="message">Why.</param>
    /// <param name="innerException">The cause.</param>
    public JobEndedException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>What the process ends with.</summary>
    public int Code { get; init; } = 1;
}
