using LlavaSharp.Data;

namespace LlavaSharp.Tests.Data;

public sealed class ImagePathsTests
{
    [Fact]
    public void Finds_what_lies_below_the_folder()
    {
        using var folder = new TempFolder();
        var file = folder.Write("images/a/b.png", "x");
        var images = Path.Combine(folder.Path, "images");
        Assert.Equal(file, ImagePaths.Resolve(images, "a/b.png", 0));
        Assert.Equal(file, ImagePaths.Resolve(images + "/", "./a/../a//b.png", 0));
        Assert.Equal(file, ImagePaths.Resolve("/", file[1..], 0));

        // The folder itself may be a link, and links inside it may stay inside it.
        Directory.CreateSymbolicLink(Path.Combine(folder.Path, "link"), images);
        File.CreateSymbolicLink(Path.Combine(images, "inner.png"), "a/b.png");
        Assert.Equal(file, ImagePaths.Resolve(Path.Combine(folder.Path, "link"), "a/b.png", 0));
        Assert.Equal(file, ImagePaths.Resolve(Path.Combine(folder.Path, "link"), "inner.png", 0));
    }

    [Theory]
    [InlineData("", "is empty or has a zero character")]
    [InlineData("a\0b", "is empty or has a zero character")]
    [InlineData("/etc/passwd", "is an absolute path")]
    [InlineData("C:\\x.png", "is an absolute path")]
    [InlineData("C:/x.png", "is an absolute path")]
    [InlineData("\\\\server\\x.png", "is an absolute path")]
    [InlineData("../secret.png", "leaves the image folder")]
    [InlineData("a/../../secret.png", "leaves the image folder")]
    [InlineData("../images-2/x.png", "leaves the image folder")]
    [InlineData("..", "leaves the image folder")]
    [InlineData(".", "leaves the image folder")]
    [InlineData("out.png", "by a link to")]
    [InlineData("outer/secret.png", "by a link to")]
    [InlineData("loop.png", "image ")]
    [InlineData("a", "does not exist")]
    [InlineData("none.png", "does not exist")]
    public void Refuses_the_rest_and_names_the_sample(string name, string expected)
    {
        using var folder = new TempFolder();
        var images = Path.Combine(folder.Path, "images");
        folder.Write("images/a/b.png", "x");
        folder.Write("images-2/x.png", "x");
        folder.Write("secret.png", "x");
        File.CreateSymbolicLink(Path.Combine(images, "out.png"), "../secret.png");
        Directory.CreateSymbolicLink(Path.Combine(images, "outer"), folder.Path);
        File.CreateSymbolicLink(Path.Combine(images, "loop.png"), "loop.png");
        var message = Assert.Throws<UserErrorException>(() => ImagePaths.Resolve(images, name, 12)).Message;
        Assert.StartsWith("sample 12: ", message, StringComparison.Ordinal);
        Assert.Contains(expected, message, StringComparison.Ordinal);
    }
}
