namespace LlavaSharp.Zero;

/// <summary>Why a job of several processes ends before its time.</summary>
public enum JobFault
{
    /// <summary>A process was lost or not reached; the job can go on from its checkpoint.</summary>
    RankLost,

    /// <summary>This process's machine refused memory, a file or a library.</summary>
    Machine,

    /// <summary>A fault of this program.</summary>
    Internal,
}
