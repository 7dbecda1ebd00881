namespace LlavaSharp.Trials;

/// <summary>
/// Two hosts on one machine: network namespaces with a cable between them, and the program on either, started by mpirun over TCP or by
/// environment variables alone. A job trains to its end with the bytes of one host's; another's cable is cut in mid-step.
/// </summary>
internal sealed class Hosts : IDisposable
{
    /// <summary>The ways to start.</summary>
    public const string Mpirun = "mpirun, MPI over TCP", Variables = "RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT; Gloo over TCP";

    /// <summary>Seconds that a rank waits for another; Open MPI's own keep-alive, below, must not come before it.</summary>
    public const int Deadline = 8;

    /// <summary>Seconds from the cut until all have ended, at most.</summary>
    public const double Limit = 45;

    private readonly RankData _data = new();
    private readonly string[] _hosts = [$"llv{Environment.ProcessId}a", $"llv{Environment.ProcessId}b"];

    /// <summary>All ways.</summary>
    public static readonly string[] All = [Mpirun, Variables];

    /// <summary>Trains over two hosts, to the end and to the cut.</summary>
    public async Task<Result> Run(string how)
    {
        if (await Connect() is { } reason)
        {
            return new(how, reason, false, [], [], 0, 0);
        }

        try
        {
            var (local, remote, cut) = (_data.Tiny["local"], _data.Tiny["remote" + how[0]], _data.Tiny["cut" + how[0]]);
            if (!Directory.Exists(local))
            {
                await Job.Succeed(RankData.Launch(2, Train(local, 8)));
            }

            var whole = await Start(how, Train(remote, 8));
            if (whole.Any(o => o.Code != 0))
            {
                throw new TrialException($"{how}: {string.Join('\n', whole.Select(o => o.Error))}");
            }

            var job = Start(how, Train(cut, 1_000_000));
            await Reach(cut, job);
            await Ip("-n", _hosts[1], "link", "set", _hosts[1], "down");
            var at = DateTime.UtcNow;
            var outcomes = await job;
            var (seconds, same) = ((DateTime.UtcNow - at).TotalSeconds, Weights.Hash(local) == Weights.Hash(remote));
            var codes = outcomes.Take(how == Mpirun ? 1 : 2).Select(o => o.Code);
            return new(how, null, same, [.. outcomes.Select(o => string.Join(" / ", o.Errors))], [.. codes], seconds, Job.Orphans(cut).Length);
        }
        finally
        {
            await Disconnect();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _data.Dispose();

    private string[] Train(string output, int updates) => _data.Train("all", output, 3, 1, updates, "--ddp_timeout", $"{Deadline}");

    // Until the job is in the middle of its updates.
    private static async Task Reach(string folder, Task<Outcome[]> job)
    {
        var log = Path.Combine(folder, "log.jsonl");
        while (!File.Exists(log) || File.ReadAllLines(log).Length < 5)
        {
            if (job.IsCompleted)
            {
                throw new TrialException($"ended before the cable was cut: {string.Join('\n', (await job).Select(o => o.Error))}");
            }

            await Task.Delay(20);
        }
    }

    // What each host's process left behind.
    private Task<Outcome[]> Start(string how, string[] train)
    {
        string[] variables = ["MASTER_ADDR=10.77.0.1", "MASTER_PORT=29511", "WORLD_SIZE=2"];
        return how == Mpirun ? StartMpirun(train) : Task.WhenAll(_hosts.Select((host, rank) => Job.Run(
            "ip", ["netns", "exec", host, Job.Program, .. train], [.. variables, $"RANK={rank}"])));
    }

    // Each host's words go to a file on it: what cannot come through the cable can be read there.
    private async Task<Outcome[]> StartMpirun(string[] train)
    {
        var words = _data.Tiny[$"words{Guid.NewGuid():N}"];

        // In the place of ssh, whose first argument is the host.
        var (agent, host) = (_data.Tiny["agent.sh"], _hosts[1]);
        File.WriteAllText(agent, $"shift\nexec ip netns exec {host} unshare --uts sh -c \"hostname {host}; $*\"\n");
        string[] tcp =
        [
            "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "10.77.0.0/24", "--mca", "oob_tcp_if_include", "10.77.0.0/24",
            "--mca", "oob_tcp_keepalive_time", "15", "--mca", "oob_tcp_keepalive_intvl", "1", "--mca", "oob_tcp_keepalive_probes", "2",
        ];
        var outcome = await Job.Run(
            "ip",
            [
                "netns", "exec", _hosts[0], "unshare", "--uts", "sh", "-c", "hostname $0; exec \"$@\"", _hosts[0],
                "mpirun", "--allow-run-as-root", "--host", "10.77.0.1:1,10.77.0.2:1", "-np", "2", "--mca", "plm_rsh_agent", $"sh {agent}", .. tcp,
                "--output-filename", words, Job.Program, .. train,
            ],
            []);
        return [.. Enumerable.Range(0, 2).Select(rank =>
            outcome with { Error = File.ReadAllText(Path.Combine(words, "1", $"rank.{rank}", "stderr")) + (outcome.Code == 0 ? "" : "\n") })];
    }

    private async Task<string?> Connect()
    {
        string[][] commands =
        [
            .. _hosts.Select(h => (string[])["netns", "add", h]),
            ["link", "add", "name", _hosts[0], "netns", _hosts[0], "type", "veth", "peer", "name", _hosts[1], "netns", _hosts[1]],
            .. _hosts.SelectMany((h, i) => (string[][])[
                ["-n", h, "addr", "add", $"10.77.0.{i + 1}/24", "dev", h], ["-n", h, "link", "set", h, "up"], ["-n", h, "link", "set", "lo", "up"],

                // What nobody acknowledges is given up after a dozen seconds, not a quarter of an hour: later than the ranks' deadline.
                ["netns", "exec", h, "sysctl", "-q", "-w", "net.ipv4.tcp_retries2=5"]]),
        ];
        foreach (var command in commands)
        {
            if (await Ip(command) is { } error)
            {
                await Disconnect();
                return $"no network namespaces here ({error})";
            }
        }

        return null;
    }

    private async Task Disconnect()
    {
        foreach (var host in _hosts)
        {
            await Ip("netns", "del", host);
        }
    }

    private static async Task<string?> Ip(params string[] arguments)
    {
        try
        {
            var outcome = await Job.Run("ip", arguments, []);
            return outcome.Code == 0 ? null : outcome.Error.Trim();
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "there is no ip command";
        }
    }

    /// <summary>What came of it: why it was not run, whether the whole job gave one host's bytes, and of the cut one each host's words, the
    /// exit codes, the seconds from the cut until all had ended, and processes left.</summary>
    public sealed record Result(string How, string? Skipped, bool SameBytes, string[] Messages, int[] Codes, double Seconds, int Orphans)
    {
        /// <summary>Whether it ended soon enough after the cut.</summary>
        public bool InTime => Seconds < Limit;

        /// <summary>Whether it is as it must be, however long it took, or could not be run: each host names the other's rank.</summary>
        public bool Holds => Skipped is not null || (SameBytes && Codes.All(c => c == 75) && Orphans == 0
            && Messages.Select((m, rank) => m.StartsWith($"error: rank {1 - rank} ", StringComparison.Ordinal)
                && m.Contains("step ", StringComparison.Ordinal) && m.Contains(" bytes", StringComparison.Ordinal)).All(named => named));
    }
}
