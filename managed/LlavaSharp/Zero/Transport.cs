namespace LlavaSharp.Zero;

/// <summary>What carries tensors between the processes of a run.</summary>
public enum Transport
{
    /// <summary>Nothing: there is one process.</summary>
    None,

    /// <summary>MPI: the processes were started by mpirun, or by Slurm with PMI.</summary>
    Mpi,

    /// <summary>Gloo over TCP: ranks come from environment variables alone (torchrun, Kubernetes' PyTorch job, plain srun).</summary>
    Gloo,
}
