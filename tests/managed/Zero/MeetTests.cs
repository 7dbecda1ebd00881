using System.Net;
using System.Net.Sockets;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Tests.Training;

namespace LlavaSharp.Tests.Zero;

/// <summary>Processes that do not find each other: a line that names variables, address and remedy, and a code that scripts know.</summary>
public sealed class MeetTests : IDisposable
{
    private const string Remedy = "; MASTER_ADDR and MASTER_PORT name rank 0's host and a free port of it, the same on all ranks\n";

    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData("PMI_RANK=0 PMI_SIZE=2", "PMI_RANK and PMI_SIZE")]
    [InlineData("OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE")]
    public async Task Variables_of_another_job_are_named(string variables, string names)
    {
        var (code, output, error) = await Processes.Run(Train(), variables.Split(' '));
        Assert.Equal((2, ""), (code, output));
        Assert.StartsWith($"error: {names.Replace(" and ", "/", StringComparison.Ordinal)} says rank ", error);
        Assert.EndsWith($"; if {names} are left over from another job, unset them\n", error);
    }

    [Theory]
    [InlineData("0", "rank 1 has not come to no-such-host.invalid:29999; the name 'no-such-host.invalid' has no address")]
    [InlineData("1", "rank 0 does not answer on no-such-host.invalid:29999: the name 'no-such-host.invalid' has no address")]
    public async Task A_host_that_nobody_knows_is_named(string rank, string words)
    {
        var (code, _, error) = await Start(rank, "2", "no-such-host.invalid", 29999);
        Assert.Equal(75, code);
        Assert.Contains(words, error, StringComparison.Ordinal);
        Assert.EndsWith(Remedy, error);
    }

    [Fact]
    public async Task A_port_that_is_taken_is_named_on_both_sides()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;
        var first = await Start("0", "2", "127.0.0.1", port);
        Assert.Equal(75, first.Code);
        Assert.Equal(
            $"error: RANK/WORLD_SIZE says rank 0 of 2: ranks over gloo: rank 0 cannot listen on port {port}: Address already in use; "
            + $"another program or another rank 0 does{Remedy}", first.Error);
        var second = Start("1", "2", "127.0.0.1", port);
        using var client = await taken.AcceptTcpClientAsync(TestContext.Current.CancellationToken);
        await client.GetStream().WriteAsync("HTTP/1.0 400 Bad Request\r\n\r\n"u8.ToArray(), TestContext.Current.CancellationToken);
        Assert.Contains($"another program than rank 0 answers on 127.0.0.1:{port}", (await second).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Jobs_of_two_sizes_end_with_the_same_words()
    {
        var port = FreePort();
        var second = Start("1", "3", "127.0.0.1", port);
        var outcomes = await Task.WhenAll(Start("0", "2", "127.0.0.1", port), second);
        Assert.All(outcomes, o => Assert.Equal(75, o.Code));
        Assert.All(outcomes, o => Assert.Contains("rank 1 was started with 3 ranks, rank 0 with 2: start all of them with the same WORLD_SIZE", o.Error));
    }

    [Fact]
    public async Task Ranks_meet_by_an_IPv6_address()
    {
        Assert.SkipUnless(Socket.OSSupportsIPv6, "no IPv6 here");
        var port = FreePort();
        var outcomes = await Task.WhenAll(Start("0", "2", "::1", port, 60), Start("1", "2", "::1", port, 60));
        Assert.All(outcomes, o => Assert.True(o.Code == 0, o.Error));
    }

    private static int FreePort()
    {
        using var any = new TcpListener(IPAddress.Loopback, 0);
        any.Start();
        return ((IPEndPoint)any.LocalEndpoint).Port;
    }

    private Task<(int Code, string Out, string Error)> Start(
        string rank, string world, string host, int port, int timeout = 5) => Processes.Run(
        [.. Train(), "--ddp_timeout", $"{timeout}"], $"RANK={rank}", $"WORLD_SIZE={world}", $"MASTER_ADDR={host}", $"MASTER_PORT={port}");

    private string[] Train() => _tiny.Stage1(
        _tiny["out"], "--max_steps", "2", "--threads", "1", "--dataloader_num_workers", "1", "--save_strategy", "no");
}
