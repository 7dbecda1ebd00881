using System.Text.Json;
using System.Text.Json.Serialization;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Zero.Simulation;

/// <summary>What a simulation needs to know of the machines: hosts of equal devices, and two kinds of link.</summary>
public sealed record Machine
{
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        ReadCommentHandling = JsonCommentHandling.Skip,
        RespectRequiredConstructorParameters = true,
        WriteIndented = true,
    };

    /// <summary>For people.</summary>
    public required string Name { get; init; }

    /// <summary>Devices of one host.</summary>
    public required int DevicesPerHost { get; init; }

    /// <summary>Memory of a device, in bytes.</summary>
    public required double MemoryBytes { get; init; }

    /// <summary>Floating-point operations a second that matrix products reach.</summary>
    public required double Flops { get; init; }

    /// <summary>Share of <see cref="Flops"/> that a whole forward and backward reaches.</summary>
    public required double Efficiency { get; init; }

    /// <summary>Bytes a second between a device and its memory.</summary>
    public required double MemoryBytesPerSecond { get; init; }

    /// <summary>Bytes of a weight, an activation and a gradient as they are computed and exchanged: 2 for bfloat16, which adds a float32
    /// master copy to what is trained; 4 for float32.</summary>
    public required int ElementBytes { get; init; }

    /// <summary>Between devices of a host, for each device.</summary>
    public required Link Host { get; init; }

    /// <summary>Between hosts, for each device's own port.</summary>
    public required Link Network { get; init; }

    /// <summary>Machines that are known by name.</summary>
    public static IReadOnlyDictionary<string, Machine> Known { get; } = new Dictionary<string, Machine>(StringComparer.Ordinal)
    {
        // Assumed, not measured by this tree: products and memory below their nominal rates, links at about nine tenths of theirs.
        ["h200"] = new()
        {
            Name = "hosts of 8 H200, NVLink, a 400 Gb/s port for each device",
            DevicesPerHost = 8,
            MemoryBytes = 149e9,
            Flops = 790e12,
            Efficiency = 0.6,
            MemoryBytesPerSecond = 4.3e12,
            ElementBytes = 2,
            Host = new(400e9, 4e-6),
            Network = new(45e9, 10e-6),
        },
        ["a100"] = new()
        {
            Name = "hosts of 8 A100-80G, NVLink, a 200 Gb/s port for each device",
            DevicesPerHost = 8,
            MemoryBytes = 84e9,
            Flops = 270e12,
            Efficiency = 0.6,
            MemoryBytesPerSecond = 1.8e12,
            ElementBytes = 2,
            Host = new(270e9, 5e-6),
            Network = new(22e9, 10e-6),
        },
        ["gaudi2"] = new()
        {
            Name = "hosts of 8 Gaudi2, 21 ports of 100 Gb/s within the host and 3 out of it, for each device",
            DevicesPerHost = 8,
            MemoryBytes = 101e9,
            Flops = 380e12,
            Efficiency = 0.5,
            MemoryBytesPerSecond = 2.2e12,
            ElementBytes = 2,
            Host = new(230e9, 8e-6),
            Network = new(33e9, 15e-6),
        },
    };

    /// <summary>Finds a machine.</summary>
    /// <param name="name">A known name, or a JSON file with these properties in snake_case.</param>
    /// <returns>The machine.</returns>
    /// <exception cref="UserErrorException">There is neither, or the file is not such a description.</exception>
    public static Machine Load(string name)
    {
        if (Known.TryGetValue(name, out var known))
        {
            return known;
        }

        if (!File.Exists(name))
        {
            throw new UserErrorException($"--machine {name}: neither a file nor one of {string.Join(", ", Known.Keys)}");
        }

        try
        {
            var machine = JsonSerializer.Deserialize<Machine>(File.ReadAllBytes(name), Json)
                ?? throw new UserErrorException($"--machine {name}: null is no machine");
            machine.Check(name);
            return machine;
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"--machine {name}: {e.Message}", e);
        }
    }

    /// <summary>Writes the description down as <see cref="Load"/> reads it.</summary>
    /// <param name="path">The file.</param>
    public void Save(string path) => AtomicFile.WriteText(path, JsonSerializer.Serialize(this, Json) + "\n");

    /// <summary>Seconds in which every device gets <paramref name="bytes"/> in all, of which each device holds an equal part: an
    /// all-gather, or the reverse of one. Within a host and between hosts the parts move at the same time; each port carries its share of
    /// what enters its host.</summary>
    /// <param name="bytes">What is whole afterwards.</param>
    /// <param name="world">Devices.</param>
    /// <returns>Seconds, latency not counted.</returns>
    public double MoveSeconds(double bytes, int world)
    {
        var (near, hosts) = Spread(world);
        var within = near == 1 ? 0 : bytes * (world - 1) / world / Host.BytesPerSecond;
        var between = hosts == 1 ? 0 : bytes * (hosts - 1) / hosts / (near * Network.BytesPerSecond);
        return Math.Max(within, between);
    }

    /// <summary>Seconds before an exchange's first byte arrives: messages wait for each other as in a tree.</summary>
    /// <param name="world">Devices.</param>
    /// <returns>Seconds; none where there is one device.</returns>
    public double LatencySeconds(int world)
    {
        var (near, hosts) = Spread(world);
        return (Math.Ceiling(Math.Log2(near)) * Host.LatencySeconds) + (Math.Ceiling(Math.Log2(hosts)) * Network.LatencySeconds);
    }

    /// <summary>Seconds of an exchange of a few bytes.</summary>
    /// <param name="world">Devices.</param>
    /// <returns>Seconds.</returns>
    public double MeetSeconds(int world) => MoveSeconds(8.0 * world, world) + LatencySeconds(world);

    // Devices of a host that take part, and hosts.
    private (int Near, int Hosts) Spread(int world) => (Math.Min(world, DevicesPerHost), (world + DevicesPerHost - 1) / DevicesPerHost);

    private void Check(string name)
    {
        var wrong = DevicesPerHost < 1 ? "devices_per_host" : ElementBytes is not (2 or 4) ? "element_bytes"
            : !(MemoryBytes > 0) ? "memory_bytes" : !(Flops > 0) ? "flops" : Efficiency is not (> 0 and <= 1) ? "efficiency"
            : !(MemoryBytesPerSecond > 0) ? "memory_bytes_per_second" : Bad(Host) ? "host" : Bad(Network) ? "network" : null;
        if (wrong is not null)
        {
            throw new UserErrorException($"--machine {name}: {wrong} is out of range: rates and sizes are above 0, efficiency at most 1, element_bytes 2 or 4");
        }

        static bool Bad(Link link) => !(link.BytesPerSecond > 0 && link.LatencySeconds >= 0);
    }
}
