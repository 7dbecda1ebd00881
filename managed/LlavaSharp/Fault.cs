namespace LlavaSharp;

/// <summary>Marks an exception with the kind of fault that its words describe, for those who count kinds.</summary>
internal static class Fault
{
    private const string Key = "fault";

    /// <summary>Marks an exception.</summary>
    /// <param name="exception">The exception.</param>
    /// <param name="fault">A value of an enumeration of faults.</param>
    /// <returns>The same exception.</returns>
    public static TException With<TException>(TException exception, Enum fault)
        where TException : Exception
    {
        exception.Data[Key] = fault;
        return exception;
    }

    /// <summary>The mark; null when there is none of this enumeration.</summary>
    public static TFault? Of<TFault>(Exception exception)
        where TFault : struct, Enum => exception.Data[Key] as TFault?;
}
