using LlavaSharp.Interop;
using LlavaSharp.Zero;

namespace LlavaSharp.Tests.Zero;

public sealed class RankDiscoveryTests
{
    private const string Mpi = "OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=8 OMPI_COMM_WORLD_LOCAL_RANK=1";
    private const string Master = " MASTER_ADDR=node0 MASTER_PORT=29500";

    [Theory]
    [InlineData("", 0, 1, 0, null)]
    [InlineData(Mpi, 3, 8, 1, CommunicatorKind.Mpi)]
    [InlineData("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1", 0, 1, 0, null)]
    [InlineData("PMI_RANK=2 PMI_SIZE=4 MPI_LOCALRANKID=0", 2, 4, 0, CommunicatorKind.Mpi)]
    [InlineData("RANK=5 WORLD_SIZE=8 LOCAL_RANK=1" + Master, 5, 8, 1, CommunicatorKind.Gloo)]
    [InlineData("RANK=5 WORLD_SIZE=8" + Master, 5, 8, 0, CommunicatorKind.Gloo)]
    [InlineData("RANK=0 WORLD_SIZE=1", 0, 1, 0, null)]
    [InlineData("SLURM_PROCID=3 SLURM_STEP_NUM_TASKS=4 SLURM_LOCALID=1" + Master, 3, 4, 1, CommunicatorKind.Gloo)]
    [InlineData("SLURM_PROCID=3 SLURM_STEP_NUM_TASKS=4 SLURM_LOCALID=1 PMIX_RANK=3", 3, 4, 1, CommunicatorKind.Mpi)]
    [InlineData("SLURM_PROCID=0 SLURM_NTASKS=4 SLURM_LOCALID=0", 0, 1, 0, null)]
    [InlineData(Mpi + " SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2 SLURM_LOCALID=0", 3, 8, 1, CommunicatorKind.Mpi)]
    [InlineData(Mpi + " RANK=3 WORLD_SIZE=8", 3, 8, 1, CommunicatorKind.Mpi)]
    [InlineData("SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2 RANK=5 WORLD_SIZE=8 LOCAL_RANK=1" + Master, 5, 8, 1, CommunicatorKind.Gloo)]
    public void Reads_what_launchers_leave(string variables, int rank, int world, int local, CommunicatorKind? carrier)
    {
        var place = Find(variables);
        Assert.Equal((rank, world, local, carrier), (place.Rank, place.World, place.LocalRank, place.Carrier));
        Assert.Equal(carrier == CommunicatorKind.Gloo ? "node0:29500" : "", place.Address);
        Assert.Equal(rank == 0, place.IsFirst);
    }

    [Theory]
    [InlineData("::1", "[::1]:29500")]
    [InlineData("[::1]", "[::1]:29500")]
    [InlineData("fe80::1%eth0", "[fe80::1%eth0]:29500")]
    [InlineData("10.0.0.1", "10.0.0.1:29500")]
    public void An_IPv6_address_stands_in_brackets_before_its_port(string host, string address) =>
        Assert.Equal(address, Find($"RANK=0 WORLD_SIZE=2 MASTER_ADDR={host} MASTER_PORT=29500").Address);

    [Theory]
    [InlineData("", 1)]
    [InlineData(Mpi, 1)]
    [InlineData(Mpi + " OMPI_COMM_WORLD_LOCAL_SIZE=4", 4)]
    [InlineData("PMI_RANK=2 PMI_SIZE=4 MPI_LOCALNRANKS=2", 2)]
    [InlineData("RANK=5 WORLD_SIZE=8 LOCAL_WORLD_SIZE=8" + Master, 8)]
    [InlineData("SLURM_PROCID=3 SLURM_STEP_NUM_TASKS=11 SLURM_STEP_TASKS_PER_NODE=3,4(x2)" + Master, 4)]
    public void Reads_how_many_share_the_host(string variables, int processes) => Assert.Equal(processes, Find(variables).LocalWorld);

    [Theory]
    [InlineData("RANK=0 WORLD_SIZE=2 LOCAL_WORLD_SIZE=3" + Master, "LOCAL_WORLD_SIZE is '3': expected a whole number from 1 to 2")]
    [InlineData("RANK=1", "RANK is set to 1, but WORLD_SIZE is not: set both, or neither")]
    [InlineData("WORLD_SIZE=2", "WORLD_SIZE is set to 2, but RANK is not: set both, or neither")]
    [InlineData("OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_SIZE is set to 2, but OMPI_COMM_WORLD_RANK is not: set both, or neither")]
    [InlineData("RANK=2 WORLD_SIZE=2", "RANK is 2, but WORLD_SIZE is 2: ranks go from 0 to 1")]
    [InlineData("RANK=-1 WORLD_SIZE=2", "RANK is '-1': expected a whole number from 0 to 2147483647")]
    [InlineData("RANK=0 WORLD_SIZE=two", "WORLD_SIZE is 'two': expected a whole number from 1 to 2147483647")]
    [InlineData("RANK=0 WORLD_SIZE=2 LOCAL_RANK=2" + Master, "LOCAL_RANK is '2': expected a whole number from 0 to 1")]
    [InlineData("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a", "RANK/WORLD_SIZE says rank 0 of 2, but MASTER_PORT is not set: name rank 0's host in MASTER_ADDR and a free port of it in MASTER_PORT, or start with mpirun")]
    [InlineData("SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2", "SLURM_PROCID/SLURM_STEP_NUM_TASKS says rank 0 of 2, but MASTER_ADDR is not set: name rank 0's host in MASTER_ADDR and a free port of it in MASTER_PORT, or start with mpirun")]
    [InlineData("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=0", "MASTER_PORT is '0': expected a whole number from 1 to 65535")]
    [InlineData(Mpi + " RANK=4 WORLD_SIZE=8", "OMPI_COMM_WORLD_RANK/OMPI_COMM_WORLD_SIZE says rank 3 of 8, RANK/WORLD_SIZE says rank 4 of 8: start with one launcher, or unset RANK and WORLD_SIZE")]
    [InlineData("SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=4 RANK=2 WORLD_SIZE=4" + Master, "SLURM_PROCID/SLURM_STEP_NUM_TASKS says rank 1 of 4, RANK/WORLD_SIZE says rank 2 of 4: let one of them decide, or unset RANK and WORLD_SIZE")]
    public void Says_what_is_missing_or_contradicts(string variables, string message) =>
        Assert.Equal(message, Assert.Throws<UserErrorException>(() => Find(variables)).Message);

    private static RankPlace Find(string variables)
    {
        var values = variables.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(v => v.Split('=')).ToDictionary(v => v[0], v => v[1]);
        return RankDiscovery.Find(name => values.GetValueOrDefault(name));
    }
}
