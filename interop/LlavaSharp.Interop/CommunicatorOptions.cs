namespace LlavaSharp.Interop;

/// <summary>How the ranks that train one model meet.</summary>
public sealed record CommunicatorOptions
{
    /// <summary>What carries bytes between them.</summary>
    public CommunicatorKind Kind { get; init; } = CommunicatorKind.Local;

    /// <summary>This rank, from 0; -1 with MPI: as MPI says.</summary>
    public int Rank { get; init; } = -1;

    /// <summary>How many there are; -1 with MPI: as MPI says.</summary>
    public int World { get; init; } = -1;

    /// <summary>How long a rank waits for another before the job fails with the missing rank's number.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>Local: a name that the threads share. Gloo: host:port of rank 0. Otherwise not read.</summary>
    public string Address { get; init; } = "";

    /// <summary>A file that says which transfer this rank came to last, also when the rank is no more: a number that counts them, a tab,
    /// and words such as "step 3, gather of layer.4, 4096 bytes"; empty for none.</summary>
    public string Journal { get; init; } = "";
}
