namespace LlavaSharp.Cli;

/// <summary>What the process ends with.</summary>
internal static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Ok = 0;

    /// <summary>A check was carried out and failed, such as a parity bound.</summary>
    public const int CheckFailed = 1;

    /// <summary>The user can put it right.</summary>
    public const int UserError = 2;

    /// <summary>A fault of this program (sysexits' EX_SOFTWARE).</summary>
    public const int Internal = 70;

    /// <summary>A process of several was lost or not reached; the job can go on from its checkpoint (sysexits' EX_TEMPFAIL).</summary>
    public const int RankLost = 75;

    /// <summary>Ctrl-C, as shells number it.</summary>
    public const int Cancelled = 130;
}
