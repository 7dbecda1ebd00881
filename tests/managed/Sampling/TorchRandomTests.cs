using LlavaSharp.Sampling;

namespace LlavaSharp.Tests.Sampling;

/// <summary>Numbers drawn by PyTorch 2.14.</summary>
public sealed class TorchRandomTests
{
    [Fact]
    public void Permutations_are_PyTorchs()
    {
        Assert.Equal([2, 6, 1, 8, 4, 5, 0, 9, 3, 7], new TorchRandom(42).Randperm(10));
        Assert.Equal([4, 1, 7, 5, 3, 9, 0, 8, 6, 2], new TorchRandom(0).Randperm(10));
        Assert.Equal([1, 4, 9, 6, 3, 5, 0, 2, 8, 7], new TorchRandom((1UL << 63) + 5).Randperm(10));
        var random = new TorchRandom(0);
        var large = random.Randperm(1000);
        Assert.Equal([44, 37, 675, 775, 947], large[..5]);
        Assert.Equal([206, 932, 745, 263, 354], large[^5..]);
        Assert.Equal([1, 2, 0], random.Randperm(3));
    }

    [Fact]
    public void Sixty_four_bits_are_two_draws_high_half_first()
    {
        var random = new TorchRandom(42);
        Assert.Equal(6909045637428952499UL, random.NextSeed());
        Assert.Equal(8314211556539077902UL, random.NextSeed());
        var (a, b) = (new TorchRandom(7), new TorchRandom(7));
        ulong high = a.NextUInt32();
        Assert.Equal((high << 32) | a.NextUInt32(), b.NextUInt64());
    }

    [Fact]
    public void Only_the_low_half_of_a_seed_matters() =>
        Assert.Equal(new TorchRandom(4053586177).NextUInt32(), new TorchRandom(TorchRandom.DefaultSeed).NextUInt32());

    [Fact]
    public void Edges()
    {
        Assert.Empty(new TorchRandom(1).Randperm(0));
        Assert.Equal([0], new TorchRandom(1).Randperm(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TorchRandom(1).Randperm(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new TorchRandom(1).Randperm(int.MaxValue));

        // The first output of init_genrand(5489), the reference implementation's own default.
        Assert.Equal(3499211612u, new TorchRandom(5489).NextUInt32());
    }
}
