using System.Globalization;
using LlavaSharp.Interop;

namespace LlavaSharp.Zero;

/// <summary>
/// Finds this process's rank in what launchers leave in the environment: Open MPI (OMPI_COMM_WORLD_*), MPICH's and Intel's PMI (PMI_*),
/// Slurm's srun (SLURM_PROCID, SLURM_STEP_NUM_TASKS), and torchrun's variables (RANK, WORLD_SIZE), which Kubernetes' PyTorch jobs set too.
/// </summary>
public static class RankDiscovery
{
    private static readonly Launcher OpenMpi = new(
        "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE");

    private static readonly Launcher Pmi = new("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS");

    // Not SLURM_NTASKS: a batch script has it, and SLURM_PROCID 0, without being one of so many processes.
    private static readonly Launcher Slurm = new("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE");
    private static readonly Launcher Torch = new("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE");

    /// <summary>Reads the environment.</summary>
    /// <param name="variable">Gives a variable's value, or null.</param>
    /// <returns>The place; <see cref="RankPlace.Single"/> where no launcher left anything.</returns>
    /// <exception cref="UserErrorException">A set of variables is incomplete or not numbers, or two sets contradict each other.</exception>
    public static RankPlace Find(Func<string, string?> variable)
    {
        string? Get(string name) => variable(name) is { Length: > 0 } value ? value : null;
        var torch = Torch.Read(Get);

        // mpirun inside a Slurm job starts one srun task a host, whose numbers are those of the hosts; and PMI's may be left over.
        var mpi = OpenMpi.Read(Get) ?? Pmi.Read(Get);
        if (mpi is not null)
        {
            if (torch is not null && (torch.Rank, torch.World) != (mpi.Rank, mpi.World))
            {
                throw new UserErrorException(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{mpi.Source} says rank {mpi.Rank} of {mpi.World}, {torch.Source} says rank {torch.Rank} of {torch.World}: "
                    + $"start with one launcher, or unset {Torch.Rank} and {Torch.World}"));
            }

            return mpi.World == 1 ? mpi : mpi with { Carrier = CommunicatorKind.Mpi };
        }

        var slurm = Get(Slurm.World) is null ? null : Slurm.Read(Get);
        if (slurm is not null && torch is not null && (torch.Rank, torch.World) != (slurm.Rank, slurm.World))
        {
            // torchrun under srun: one task a host, and ranks of its own.
            slurm = torch.World % slurm.World == 0 && torch.World > slurm.World ? null : throw new UserErrorException(string.Create(
                CultureInfo.InvariantCulture,
                $"{slurm.Source} says rank {slurm.Rank} of {slurm.World}, {torch.Source} says rank {torch.Rank} of {torch.World}: "
                + $"let one of them decide, or unset {Torch.Rank} and {Torch.World}"));
        }

        return (slurm ?? torch) is not { } place ? RankPlace.Single
            : place.World == 1 ? place
            : Get("PMIX_RANK") is not null && slurm is not null ? place with { Carrier = CommunicatorKind.Mpi }
            : WithMaster(place, Get);
    }

    private static RankPlace WithMaster(RankPlace place, Func<string, string?> get)
    {
        var (address, port) = (get("MASTER_ADDR"), get("MASTER_PORT"));
        if (address is null || port is null)
        {
            var missing = address is null ? "MASTER_ADDR" : "MASTER_PORT";
            throw new UserErrorException(string.Create(
                CultureInfo.InvariantCulture,
                $"{place.Source} says rank {place.Rank} of {place.World}, but {missing} is not set: "
                + $"name rank 0's host in MASTER_ADDR and a free port of it in MASTER_PORT, or start with mpirun"));
        }

        // An IPv6 address has colons of its own.
        var number = Number("MASTER_PORT", port, 1, 65535);
        var host = address.Contains(':', StringComparison.Ordinal) && address[0] != '[' ? $"[{address}]" : address;
        return place with { Carrier = CommunicatorKind.Gloo, Address = string.Create(CultureInfo.InvariantCulture, $"{host}:{number}") };
    }

    private static int Number(string name, string text, int low, int high) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value >= low && value <= high
            ? value
            : throw new UserErrorException(string.Create(
                CultureInfo.InvariantCulture, $"{name} is '{text}': expected a whole number from {low} to {high}"));

    private sealed record Launcher(string Rank, string World, string Local, string LocalWorld)
    {
        // Rank and world belong together; the local rank is left out by launchers that start one process a host.
        public RankPlace? Read(Func<string, string?> get)
        {
            var (rank, world, local) = (get(Rank), get(World), get(Local));
            if (rank is null && world is null)
            {
                return null;
            }

            if (rank is null || world is null)
            {
                var (there, missing) = rank is null ? (World, Rank) : (Rank, World);
                throw new UserErrorException($"{there} is set to {get(there)}, but {missing} is not: set both, or neither");
            }

            var size = Number(World, world, 1, int.MaxValue);
            var number = Number(Rank, rank, 0, int.MaxValue);
            return number < size
                ? new(number, size, local is null ? 0 : Number(Local, local, 0, size - 1), null, $"{Rank}/{World}")
                {
                    LocalWorld = get(LocalWorld) is { } beside ? Most(beside, size) : 1,
                }
                : throw new UserErrorException(string.Create(
                    CultureInfo.InvariantCulture, $"{Rank} is {number}, but {World} is {size}: ranks go from 0 to {size - 1}"));
        }

        // A number, or Slurm's list of hosts such as 4(x2),3: then the most of any host.
        private int Most(string text, int size) => text.Split(',').Max(part => Number(LocalWorld, part.Split('(')[0], 1, size));
    }
}
