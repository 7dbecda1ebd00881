using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

public sealed class NearestNameTests
{
    [Theory]
    [InlineData("trian", "train")] // a swap is one edit
    [InlineData("tran", "train")]
    [InlineData("parityy", "parity")]
    [InlineData("xxxxx", null)]
    [InlineData("", null)]
    public void Nearest(string typed, string? expected) =>
        Assert.Equal(expected, NearestName.Find(typed, ["train", "generate", "parity", "demo"]));

    [Fact]
    public void Of_nothing_there_is_none() => Assert.Equal("", NearestName.Hint("a", []));
}
