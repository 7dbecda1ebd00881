using LlavaSharp.Trials;

namespace LlavaSharp.Distributed.Tests;

/// <summary>Two hosts by mpirun; by variables alone the native tests run them, and <c>./build.sh distributed hosts</c> both.</summary>
public sealed class HostsTests
{
    [Fact]
    public async Task Hosts_train_as_one_and_both_name_the_other_when_the_cable_is_cut()
    {
        using var hosts = new Hosts();
        var result = await hosts.Run(Hosts.Mpirun);
        Assert.SkipWhen(result.Skipped is not null, result.Skipped ?? "");
        Assert.True(result.Holds, $"{result}\n{string.Join('\n', result.Messages)}\n{string.Join(' ', result.Codes)}");
    }
}
