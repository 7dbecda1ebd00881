namespace LlavaSharp;

/// <summary>
/// Something the user can put right: a missing file, a malformed line, a flag that does not exist.
/// The message is one line that holds the offending values and the remedy; the command line prints it and exits with code 2.
/// </summary>
public sealed class UserErrorException : Exception
{
    /// <summary>Creates the error without a message; prefer the overload that says what is wrong.</summary>
    public UserErrorException()
    {
    }

    /// <summary>Creates the error.</summary>
    /// <param name="message">One line: what is wrong, the values, and what to do about it.</param>
    public UserErrorException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the error over the exception that revealed it.</summary>
    /// <param name="message">One line: what is wrong, the values, and what to do about it.</param>
    /// <param name="innerException">The exception that revealed it.</param>
    public UserErrorException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
