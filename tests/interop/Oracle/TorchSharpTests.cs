namespace LlavaSharp.Interop.Tests.Oracle;

/// <summary>The oracle's own ground: TorchSharp loads, on the libtorch that the engine uses.</summary>
public sealed class TorchSharpTests
{
    [Fact]
    public void It_computes_and_differentiates()
    {
        Assert.SkipWhen(TorchSharpLibrary.SkipReason is not null, TorchSharpLibrary.SkipReason ?? "");
        using TorchSharp.torch.Tensor x = TorchSharp.torch.tensor([2.0, 3.0]).requires_grad_(true);
        x.square().sum().backward();
        Assert.Equal([4.0, 6.0], x.grad!.data<double>().ToArray());
    }

    [Fact]
    public void One_libtorch_serves_both()
    {
        Assert.SkipWhen(TorchSharpLibrary.SkipReason is not null, TorchSharpLibrary.SkipReason ?? "");
        Assert.NotEmpty(EngineLibrary.Info.Libtorch);
        IEnumerable<string> mapped = File.ReadLines("/proc/self/maps")
            .Where(line => line.EndsWith("/libtorch_cpu.so", StringComparison.Ordinal))
            .Select(line => line[line.IndexOf('/', StringComparison.Ordinal)..])
            .Distinct();
        Assert.Single(mapped);
    }
}
