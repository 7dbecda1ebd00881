using System.Globalization;

namespace LlavaSharp.Cli;

/// <summary>
/// Standard output and standard error of this process, also where they were closed, are full, or turn out to be a file of the
/// runtime's that took their number.
/// </summary>
internal static class StandardStreams
{
    private const int Output = 1, Error = 2;

    // The system's flag of a file that a new program does not get: what has it was opened by this one.
    private const long CloseOnExec = 0x80000;

    private static readonly List<FileStream> Fillers = [];

    /// <summary>Whether notes go to a terminal that understands a line drawn over another.</summary>
    /// <param name="variable">Reads an environment variable.</param>
    /// <returns>False for a file, a pipe, and TERM=dumb.</returns>
    public static bool NotesAreOnATerminal(Func<string, string?> variable) =>
        IsInherited(Error) && !Console.IsErrorRedirected && variable("TERM") is not (null or "" or "dumb");

    /// <summary>Where results go. What cannot be written there is an error of the user's.</summary>
    public static TextWriter Results { get; } = new StandardWriter(
        IsInherited(Output) ? Console.OpenStandardOutput() : null,
        reason => throw new UserErrorException($"standard output cannot be written: {reason}"));

    /// <summary>Where progress, notes and errors go. What cannot be written there is dropped: no work ends for want of a line.</summary>
    public static TextWriter Notes { get; } = new StandardWriter(IsInherited(Error) ? Console.OpenStandardError() : null, _ => { });

    /// <summary>Gives the numbers of closed standard streams to the null device, before a file of ours gets one of them and what is meant
    /// for the stream is written into it.</summary>
    public static void FillClosed()
    {
        while (true)
        {
            var file = new FileStream("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            if (file.SafeFileHandle.DangerousGetHandle() > Error)
            {
                file.Dispose();
                return;
            }

            Fillers.Add(file);
        }
    }

    // Whether the process began with it: the runtime's own files may have taken the number of a closed one.
    private static bool IsInherited(int descriptor)
    {
        try
        {
            var flags = File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fdinfo/{descriptor}"))
                .FirstOrDefault(l => l.StartsWith("flags:", StringComparison.Ordinal));
            return flags is null || (Convert.ToInt64(flags["flags:".Length..].Trim(), 8) & CloseOnExec) == 0;
        }
        catch (FileNotFoundException)
        {
            return false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            // A system without these files: as it usually is.
            return true;
        }
    }
}
